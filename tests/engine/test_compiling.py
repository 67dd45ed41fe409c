"""Compiled runs: the same figures, plain checkpoints, and eager ones where nothing compiles."""

import logging

import pytest
import torch

from sngan import load
from sngan.config import Config, DataConfig, ModelConfig, PerformanceConfig
from sngan.engine import compiling
from sngan.engine import train as training
from sngan.methods import named
from sngan.runs import checkpoint

# rounding can turn the sign of a gradient near zero, and then Adam moves a weight by 2·lr
TOLERANCE = {"rtol": 1e-3, "atol": 10 * 2e-4}
SMALL = ModelConfig(name="mlp", width=0.25, latent_dim=8)


def settings(out, compiled, **more) -> Config:
    fields = {"data": DataConfig("ring8"), "method": "sn", "model": SMALL, "steps": 50}
    performance = PerformanceConfig(device="cpu", compile=compiled)
    return Config(out=str(out), batch_size=8, performance=performance, **{**fields, **more})


def last(folder) -> dict:
    return checkpoint.read(folder / "checkpoints" / "last.pt")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sn", "wgan-gp"])
def test_a_compiled_run_matches_the_eager_one(tmp_path, method):
    # what an earlier test compiled would be found again
    torch._dynamo.reset()
    graphs = torch._dynamo.utils.counters["stats"]
    for compiled in ("off", "on"):
        before = graphs["unique_graphs"]
        training.train(settings(tmp_path / compiled, compiled, method=method))
        assert (graphs["unique_graphs"] > before) == (compiled == "on")
    log = (tmp_path / "on" / "train.log").read_text()
    assert "not compiled" not in log
    one, other = last(tmp_path / "on"), last(tmp_path / "off")
    for network in ("generator", "critic", "average"):
        assert one[network].keys() == other[network].keys()
        for key, value in one[network].items():
            torch.testing.assert_close(value, other[network][key], **TOLERANCE)
    samples = [load(tmp_path / compiled).generate(16) for compiled in ("on", "off")]
    torch.testing.assert_close(*samples, **TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [("on", "off"), ("off", "on")])
def test_a_run_goes_on_either_way(tmp_path, first, then):
    # the rate for which the tolerance is made; that of the defaults for points is ten times higher
    given = {"method": named("sn", lr=2e-4)}
    training.train(settings(tmp_path / "run", first, steps=10, **given))
    training.train(settings(tmp_path / "run", then, steps=30, **given), resume=True)
    training.train(settings(tmp_path / "whole", "off", steps=30, **given))
    one, other = last(tmp_path / "run"), last(tmp_path / "whole")
    for key, value in one["critic"].items():
        torch.testing.assert_close(value, other["critic"][key], **TOLERANCE)


def test_without_a_compiler_one_line_is_logged(tmp_path, monkeypatch, caplog):
    def broken(_function):
        raise RuntimeError("no C++ compiler\nfound anywhere")

    monkeypatch.setattr(torch, "compile", broken)
    training.train(settings(tmp_path / "on", "on", steps=5))
    training.train(settings(tmp_path / "off", "off", steps=5))
    lines = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert lines == ["performance.compile: not compiled, no C++ compiler"]
    one, other = last(tmp_path / "on"), last(tmp_path / "off")
    for key, value in one["critic"].items():
        assert torch.equal(value, other["critic"][key])


@pytest.mark.parametrize(
    ("wanted", "device", "is_compiled"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", True),
        ("off", "cuda", False),
        ("on", "cpu", True),
    ],
)
def test_auto_compiles_on_cuda_only(monkeypatch, wanted, device, is_compiled):
    monkeypatch.setattr(torch, "compile", lambda _: lambda _: None)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: None)
    compiled = []
    network = torch.nn.Identity()
    monkeypatch.setattr(network, "compile", lambda: compiled.append(network), raising=False)
    compiling.compile_forward(network, device=torch.device(device), wanted=wanted)
    assert bool(compiled) == is_compiled


def test_the_setting_is_checked():
    with pytest.raises(ValueError, match=r"performance.compile: expected one of auto, off, on"):
        PerformanceConfig(compile="yes")
