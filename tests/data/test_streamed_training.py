"""Training, evaluation and resuming on streamed data."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sngan
from helpers.ranks import on_ranks
from helpers.streams import PICTURES, SIZE
from helpers.training import (
    assert_identical,
    final_state,
    metrics,
    start,
    timeless,
    tiny,
    wait_for_step,
)
from sngan import config as configs
from sngan.cli import main
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.engine import train as training
from sngan.engine.worker import train_on_rank


def run_config(streams: Path, out: Path, **changes) -> sngan.Config:
    read = DataConfig(source=f"shards:{streams}/*.tar", flip=True)
    model = ModelConfig(width=0.1, latent_dim=8, conditional=True)
    return tiny(out, data=read, model=model, **changes)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cache")
@pytest.mark.bitwise
def test_training_resumes_bit_for_bit(streams, tmp_path):
    whole = run_config(streams, tmp_path / "whole", steps=20)
    parts = run_config(streams, tmp_path / "parts", steps=10)
    training.train(whole)
    training.train(parts)
    training.train(replace(parts, steps=20), resume=True)
    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    assert timeless(metrics(tmp_path / "whole")) == timeless(metrics(tmp_path / "parts"))
    assert configs.load(tmp_path / "whole" / "config.yaml").model.num_classes == SIZE


@pytest.mark.usefixtures("cache")
def test_evaluation_of_a_streamed_run(streams, tmp_path, capsys, monkeypatch):
    # any classifier will do here
    monkeypatch.setattr("sngan.metrics.domain.TRAINING_STEPS", 10)
    evaluation = EvaluationConfig(every=2, samples=20, extractor="pixels")
    read = DataConfig(source=f"{streams}/all.parquet", cache="stream")
    config = run_config(streams, tmp_path / "run", steps=2, evaluation=evaluation)
    training.train(replace(config, data=read))
    assert metrics(tmp_path / "run")[-1]["evaluation"]["frechet"] > 0
    capsys.readouterr()
    for number in range(20):
        PICTURES[number].save(tmp_path / f"{number}.png")
    # evaluate on its own data, and on a folder, which cannot be streamed
    for source in ([], ["--data", str(tmp_path)]):
        assert main(["evaluate", str(tmp_path / "run"), *source, "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["n_real"] == 20


@pytest.mark.usefixtures("cache")
def test_resuming_with_fewer_samples_is_refused(streams, tmp_path):
    for file in streams.glob("*.tar"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    # without labels: classes that lost their samples would be named first
    read = DataConfig(source=f"shards:{tmp_path}/*.tar", labels="none")
    config = tiny(tmp_path / "run", data=read, model=ModelConfig(width=0.1, latent_dim=8), steps=2)
    training.train(config)
    (tmp_path / "train-000.tar").unlink()
    model = replace(config, steps=4)
    with pytest.raises(ValueError, match=r"got other data by the number of files \(6, now 5\)"):
        training.train(model, resume=True)


@pytest.mark.usefixtures("cache")
def test_the_command_line_takes_shards(streams, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--steps", "2", "--set", "width=0.1", "latent_dim=8", "batch_size=8", "n_critic=1"]
    source = f"shards:{streams}/train-{{000..005}}.tar"
    assert main(["train", "--data", source, "--out", str(out), *flags]) == 0
    assert main(["train", "--data", "shards:none*.tar", "--out", f"{out}2", *flags]) == 2
    assert capsys.readouterr().err == (
        "sngan: error: --data: expected tar files that match none*.tar, got no none*.tar\n"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_two_processes_train_what_one_does(streams, tmp_path):
    alone = PerformanceConfig(device="cpu")
    two = PerformanceConfig(device="cpu", devices=2)
    one = run_config(streams, tmp_path / "one", performance=alone, steps=12, log_every=1)
    parts = replace(one, out=str(tmp_path / "two"))
    on_ranks(alone, in_double, one, False)
    on_ranks(two, in_double, replace(parts, performance=two, steps=6), False)
    on_ranks(alone, in_double, parts, True)
    states = [final_state(tmp_path / name) for name in ("one", "two")]
    assert states[0]["sampler"] == states[1]["sampler"]
    losses = [[r["critic_loss"] for r in metrics(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def in_double(fabric, config, resume):
    """Train in float64, where other orders of summing do not grow into other results."""
    torch.set_default_dtype(torch.float64)
    try:
        train_on_rank(fabric, config, resume, False, False, None)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_an_interrupt_ends_a_streamed_run(streams, tmp_path):
    process = start(tmp_path / "run", "--data", f"shards:{streams}/*.tar", "--steps", "100000")
    wait_for_step(tmp_path / "run", 10, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.startswith("sngan: interrupted at step ")
    assert len(errors.splitlines()) == 1
