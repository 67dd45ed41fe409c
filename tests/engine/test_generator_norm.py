"""Spectral normalization of the generator: norms, average, checkpoints, bounds."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import sngan
from helpers.training import TINY, assert_identical, build, tiny
from sngan.cli import main
from sngan.engine import train as training
from sngan.engine import train_step
from sngan.lipschitz import lipschitz_bounds
from sngan.methods import named
from sngan.runs import checkpoint

LAYERS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)


def normalized(folder, **settings):
    method = named("sn", n_critic=1, spectral_norm_generator="matrix", coefficient_generator=1.5)
    return tiny(folder, **{"method": method, "ema_decay": 0.5, "ema_start": 1, **settings})


def norms(network) -> list[float]:
    """The largest singular value of each kernel as a matrix of output channels, by NumPy."""
    found = []
    for layer in network.modules():
        if isinstance(layer, LAYERS):
            kernel = layer.weight.detach().double()
            if isinstance(layer, torch.nn.ConvTranspose2d):
                kernel = kernel.transpose(0, 1)
            found.append(np.linalg.svd(kernel.flatten(1).numpy(), compute_uv=False)[0])
    return found


@pytest.mark.parametrize(
    ("source", "model", "conditional"),
    [("ring8", "mlp", False), ("digits", "cnn", True), ("digits", "resnet", True)],
)
def test_all_kernels_keep_their_norm_and_the_average_is_of_normalized_ones(
    tmp_path, source, model, conditional
):
    settings = replace(TINY, name=model, conditional=conditional)
    config = normalized(tmp_path, data=source, model=settings)
    state = build(config)
    assert norms(state.average.module) == pytest.approx([1.5] * len(norms(state.average.module)))
    before = None
    for step in range(4):
        train_step(config, state)
        # power iteration follows σ from below
        assert norms(state.generator.module) == pytest.approx(
            [1.5] * len(norms(state.generator.module)), rel=0.02
        )
        assert all(norm <= 1.53 for norm in norms(state.average.module))
        now = [p.detach().clone() for p in state.generator.module.parameters()]
        before = now if step == 0 else [(a + b) / 2 for a, b in zip(before, now, strict=True)]
    for one, other in zip(state.average.module.parameters(), before, strict=True):
        torch.testing.assert_close(one, other)
    plain = build(normalized(tmp_path, data=source, model=settings, method="sn"))
    assert norms(plain.generator.module) != pytest.approx(
        [1.5] * len(norms(plain.generator.module)), rel=0.02
    )


@pytest.mark.parametrize("conditional", [False, True])
def test_the_operator_norm_is_that_of_the_layers_as_maps(tmp_path, conditional):
    method = named("sn", n_critic=1, spectral_norm_generator="operator")
    model = replace(TINY, name="resnet", conditional=conditional)
    config = normalized(tmp_path, method=method, model=model)
    state = build(config)
    train_step(config, state)
    generator = state.generator.module
    side = generator.base[1]
    shape = (generator.output.in_channels, 2 * side, 2 * side)
    # an estimate on a torus, times a factor of at most 4 % for what the torus may miss
    assert 0.94 < float(sngan.operator_norm(generator.output, shape)) < 1.01
    assert float(sngan.operator_norm(generator.dense, (8,))) == pytest.approx(1.0, rel=0.02)


@pytest.mark.bitwise
def test_a_resumed_run_keeps_the_norms(tmp_path):
    config = normalized(tmp_path, data="ring8")
    state = build(config)
    for _ in range(3):
        train_step(config, state)
    saved = copy.deepcopy(state.state_dict())
    assert set(saved["spectral_norm_generator"]["layers"]) == {f"layers.{i}" for i in (0, 2, 4, 6)}
    for _ in range(3):
        train_step(config, state)
    other = build(config)
    other.load_state_dict(saved)
    for _ in range(3):
        train_step(config, other)
    assert_identical(state.state_dict(), other.state_dict())


@pytest.mark.slow
def test_a_run_is_saved_resumed_generated_and_bounded(tmp_path):
    out = tmp_path / "run"
    config = normalized(out, data="ring8", steps=4)
    training.train(config)
    run = training.train(replace(config, steps=8), resume=True)
    assert checkpoint.read(out / "checkpoints" / "last.pt")["step"] == 8
    weights = norms(sngan.load(out).generator)
    assert all(norm <= 1.53 for norm in weights)
    bounds = lipschitz_bounds(run.generator, (8,))
    assert bounds.lower <= bounds.upper <= 1.01 * 1.53 ** len(weights)
    assert main(["lipschitz", str(out)]) == 0
    assert main(["generate", str(out), "--n", "5", "--out", str(tmp_path / "x.npz")]) == 0


@pytest.mark.parametrize("value", ["matrix", "operator", "none"])
def test_the_flag_is_saved_and_read(tmp_path, value):
    method = named("sn", spectral_norm_generator=value, coefficient_generator=2)
    config = tiny(tmp_path, method=method)
    sngan.config.save(config, tmp_path / "config.yaml")
    assert sngan.config.load(tmp_path / "config.yaml") == config
    assert f"spectral_norm_generator: {value}" in (tmp_path / "config.yaml").read_text()


def test_bad_values_are_one_line(capsys):
    for key, value in (("spectral_norm_generator", "l2"), ("coefficient_generator", "0")):
        assert main(["train", "--set", f"method.{key}={value}"]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"sngan: error: --method.{key}: expected ")
        assert printed.count("\n") == 1
