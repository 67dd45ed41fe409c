"""Recipes that decide more than the method: networks, self-attention, initialization, average."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.training import tiny
from sngan import METHODS, Config, data
from sngan.cli import main
from sngan.config import ModelConfig
from sngan.data.dataset import Dataset
from sngan.engine import TrainState, train_step
from sngan.engine.resolve import resolve_config
from sngan.models.attention import SelfAttention


def images(folder: Path, side: int, channels: int = 3) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (8, side, side, channels))
    np.savez(folder / "images.npz", images=pixels.astype(np.uint8))
    return data.open_source(str(folder / "images.npz"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sagan", {"lr": 1e-4, "lr_critic": 4e-4, "betas": (0.0, 0.9), "n_critic": 1}),
        ("biggan", {"lr": 1e-4, "lr_critic": 4e-4, "betas": (0.0, 0.999), "n_critic": 2}),
    ],
)
def test_the_recipes_hold_their_papers_figures(name, expected):
    recipe = METHODS[name]
    assert {key: getattr(recipe, key) for key in expected} == expected
    assert (recipe.loss, recipe.spectral_norm) == ("hinge", "matrix")
    assert recipe.spectral_norm_generator == "matrix"


@pytest.mark.parametrize(("side", "attention"), [(128, 32), (64, 16), (32, 8), (16, 8), (8, None)])
@pytest.mark.parametrize("name", ["sagan", "biggan", "sn"])
def test_what_is_left_out_is_that_of_the_recipe(tmp_path, caplog, name, side, attention):
    resolved = resolve_config(Config(method=name), images(tmp_path, side))
    is_big, attends = name == "biggan", name != "sn"
    assert resolved.model.name == ("resnet" if attends else "cnn")
    assert resolved.model.attention == (attention if attends else None)
    assert resolved.model.init == ("orthogonal" if is_big else "default")
    assert resolved.ema_decay == (0.9999 if is_big else 0.999)
    said = ["model.attention: none, the maps of (3, 8, 8) images are too small"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == said * (attends and attention is None)
    assert resolve_config(resolved, images(tmp_path, side)) == resolved


def test_what_is_given_is_kept(tmp_path):
    model = ModelConfig(name="cnn", attention=None, init="default")
    resolved = resolve_config(
        Config(method="biggan", model=model, ema_decay=0.9), images(tmp_path, 32)
    )
    assert (resolved.model.name, resolved.model.attention) == ("cnn", None)
    assert (resolved.model.init, resolved.ema_decay) == ("default", 0.9)
    halved = resolve_config(Config(method="biggan", ema_halflife=1e4), images(tmp_path, 32))
    assert (halved.ema_decay, halved.ema_halflife) == (None, 1e4)
    sixteen = ModelConfig(attention=16, init="orthogonal")
    resolved = resolve_config(Config(method="sagan", model=sixteen), images(tmp_path, 32))
    assert (resolved.model.attention, resolved.model.init) == (16, "orthogonal")


@pytest.mark.parametrize("method", ["sagan", "biggan"])
@pytest.mark.parametrize(
    "flags", [["--data", "ring8"], ["--data", "digits", "--model", "cnn"]], ids=["points", "cnn"]
)
def test_a_recipe_that_does_not_fit_is_one_line(tmp_path, capsys, method, flags):
    out = ["--out", str(tmp_path / "run")]
    assert main(["train", *flags, *out, "--method", method]) == 2
    printed = capsys.readouterr().err
    expected = f"sngan: error: --method: expected images and model resnet for {method}, which has"
    assert printed.startswith(expected)
    assert printed.count("\n") == 1
    assert not (tmp_path / "run").exists()
    small = ["steps=1", "width=0.1", "batch_size=4", "latent_dim=4", "attention=0"]
    assert main(["train", *flags, *out, "--method", method, "--set", *small]) == 0


def test_a_comparison_refuses_it_before_the_first_run(tmp_path, capsys):
    flags = ["--data", "ring8", "--methods", "sn,sagan", "--out", str(tmp_path / "out")]
    assert main(["compare", *flags, "--steps", "2"]) == 2
    assert capsys.readouterr().err.startswith("sngan: error: --method: expected images and model")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize("name", ["sagan", "biggan"])
def test_the_networks_are_those_of_the_recipe(tmp_path, name):
    model = ModelConfig(width=0.1, latent_dim=8)
    config = tiny(tmp_path, method=name, model=model, batch_size=4)
    state = TrainState.build(config, images(tmp_path, 16))
    for network in (state.generator.module, state.critic.module):
        assert sum(isinstance(m, SelfAttention) for m in network.modules()) == 1
    terms = train_step(config, state)
    assert all(torch.isfinite(term) for term in terms.values())
    kernel = state.generator.module.dense.weight.detach()
    values = torch.linalg.svdvals(kernel)
    # orthogonal weights keep equal singular values in the first step; Glorot's are spread
    assert (values.min() / values.max() > 0.9) == (name == "biggan")


def test_an_unknown_initialization_is_named():
    with pytest.raises(ValueError, match=r"^model.init: expected one of auto, default, orthogonal"):
        ModelConfig(init="zeros")
