"""Public names: packages resolve from sngan, and each lists the names that it offers."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sngan
from sngan import penalties

PACKAGES = (
    "augment", "callbacks", "config", "data", "engine", "health", "lipschitz", "losses", "methods",
    "metrics", "models", "penalties", "spectral", "transport",
)  # fmt: skip


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_resolves_and_lists_its_names(name):
    package = getattr(sngan, name)
    assert package is importlib.import_module(f"sngan.{name}")
    assert name in dir(sngan)
    assert len(set(package.__all__)) == len(package.__all__)
    for public in package.__all__:
        assert hasattr(package, public)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    offered = {
        alias.asname
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert offered <= set(package.__all__)


def test_dir_has_the_public_names_alone():
    assert set(dir(sngan)) == {*sngan.__all__, "__version__"}


def test_a_package_is_imported_when_it_is_asked_for():
    program = (
        "import sngan, sys; assert 'torch' not in sys.modules;"
        "dir(sngan); assert 'torch' not in sys.modules; sngan.losses.hinge"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_penalties_on_real_samples_need_no_other_argument():
    real = torch.randn(16, 3, generator=torch.Generator().manual_seed(0)).double()

    def critic(x):
        return x.square().sum(1) / 2

    expected = real.square().sum(1).mean() / 2
    for value in (penalties.r1(critic, real), penalties.r1(critic, real, torch.zeros(1))):
        torch.testing.assert_close(value, expected)
    torch.manual_seed(0)
    alone = penalties.dragan(critic, real)
    torch.manual_seed(0)
    torch.testing.assert_close(penalties.dragan(critic, real, real), alone)
