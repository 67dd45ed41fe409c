"""Gradient accumulation: parts of a batch give the gradient of the whole batch."""

from dataclasses import replace

import pytest
import torch

from helpers.training import build, tiny
from sngan import METHODS, Config
from sngan.cli import main
from sngan.config import ModelConfig, PerformanceConfig
from sngan.engine import train_step
from sngan.methods import named

# the penalty of dragan depends on the whole batch, and batch norm is in the critic of bn
MEANS = [name for name in METHODS if name not in ("dragan", "bn", "biggan", "sagan")]


def points(folder, parts, **settings):
    model = ModelConfig(width=0.1, latent_dim=4)
    performance = PerformanceConfig(device="cpu", accumulate=parts)
    # 64 rows: torch draws the same normal numbers in parts of 16 as at once
    fields = {"data": "ring8", "model": model, "performance": performance, "batch_size": 64}
    return tiny(folder, **{**fields, **settings})


def gradients(config, monkeypatch):
    """The gradients of one step of each network in float64; no weight is changed."""
    state = build(config)
    kept = {}
    for name in ("critic", "generator"):
        network, optimizer = getattr(state, name).module, getattr(state, f"{name}_optimizer")
        network.double()

        def step(*_, name=name, network=network, **__):
            kept[name] = [p.grad.clone() for p in network.parameters()]

        monkeypatch.setattr(optimizer, "step", step)
    real = state.sampler.prepared
    monkeypatch.setattr(
        state.sampler,
        "prepared",
        lambda batch: tuple(None if x is None else x.double() for x in real(batch)),
    )
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(0)
        terms = train_step(config, state)
    finally:
        torch.set_default_dtype(torch.float32)
    return kept, terms


@pytest.mark.parametrize("name", MEANS)
def test_parts_have_the_gradient_of_the_whole(tmp_path, monkeypatch, name):
    method = replace(METHODS[name], n_critic=1, spectral_norm=None)
    if method.loss == "relativistic":
        method = replace(method, lr=1e-4, betas=(0.0, 0.9), penalty_weight=1.0)
    whole, terms = gradients(points(tmp_path, 1, method=method), monkeypatch)
    for parts in (2, 4):
        split, others = gradients(points(tmp_path, parts, method=method), monkeypatch)
        for network, expected in whole.items():
            for one, other in zip(split[network], expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        for key, value in terms.items():
            torch.testing.assert_close(others[key], value, rtol=1e-6, atol=1e-9)


def test_the_whole_is_not_the_last_part(tmp_path, monkeypatch):
    """The comparison fails for a gradient that forgets a part."""
    whole, _ = gradients(points(tmp_path, 1), monkeypatch)
    half, _ = gradients(points(tmp_path, 1, batch_size=32), monkeypatch)
    one, other = half["critic"][0], whole["critic"][0]
    assert (one - other).abs().max() > 1e-3 * other.abs().max()


@pytest.mark.parametrize(
    ("settings", "named_ones"),
    [
        ({"data": "digits", "model": ModelConfig(name="cnn", width=0.1)}, "batch norm"),
        ({"data": "ring8", "method": "dragan"}, "the penalty dragan"),
        ({"data": "ring8", "method": "bn"}, "batch norm"),
        ({"data": "ring8", "method": "sn"}, None),
    ],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_what_depends_on_the_batch_is_said(tmp_path, caplog, settings, named_ones, parts):
    performance = PerformanceConfig(device="cpu", accumulate=parts)
    build(tiny(tmp_path, performance=performance, **settings))
    lines = [record.getMessage() for record in caplog.records]
    if parts == 1 or named_ones is None:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(f"performance.accumulate: {named_ones} will see each part")


@pytest.mark.parametrize("value", ["3", "0", "x", "128"])
def test_parts_that_do_not_divide_the_batch(value, capsys):
    flags = ["--data", "ring8", "--batch_size", "64", "--accumulate", value]
    assert main(["train", *flags]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("sngan: error: --performance.accumulate: expected ")
    assert printed.count("\n") == 1


def test_parts_divide_the_samples_of_each_device():
    performance = PerformanceConfig(devices=2, accumulate=4)
    assert Config(batch_size=16, performance=performance).performance.accumulate == 4
    with pytest.raises(ValueError, match=r"^performance.accumulate: .* 6 samples of each device"):
        Config(batch_size=12, performance=performance)


def test_a_conditional_run_splits_its_labels(tmp_path):
    model = ModelConfig(name="resnet", width=0.1, latent_dim=4, conditional=True)
    performance = PerformanceConfig(device="cpu", accumulate=4)
    method = named("sn", n_critic=1)
    config = tiny(tmp_path, model=model, performance=performance, method=method)
    terms = train_step(config, build(config))
    assert all(torch.isfinite(term) and term.dim() == 0 for term in terms.values())
