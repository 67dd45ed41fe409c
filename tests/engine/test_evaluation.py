"""Evaluation during training: recorded, and the best checkpoint kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.training import (
    assert_identical,
    final_state,
    metrics,
    tiny,
)
from sngan import Config, data
from sngan.config import EvaluationConfig
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.transport import wasserstein


def evaluating(out: Path, **settings) -> Config:
    evaluation = EvaluationConfig(every=10, samples=50, **settings)
    # a schedule would make the first steps depend on the number of all steps
    return tiny(out, data="ring8", evaluation=evaluation, schedule="constant")


def test_evaluations_are_recorded_and_the_best_checkpoint_kept(tmp_path):
    run = training.train(evaluating(tmp_path / "run", best="w1"))
    found = [line for line in metrics(run.folder) if "evaluation" in line]
    assert [line["step"] for line in found] == [10, 20, 30, 40]
    best = min(found, key=lambda line: line["evaluation"]["w1"])
    kept = checkpoint.read(run.folder / "checkpoints" / "best.pt")
    assert kept["step"] == best["step"]
    # the last one is of the samples that the run gives
    samples = run.generate(50, seed=0).double()
    real = data.open_source("ring8")
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:50]
    expected = wasserstein(samples, real.samples[order].double()).distance
    assert found[-1]["evaluation"]["w1"] == pytest.approx(expected, rel=1e-6)


def test_a_metric_where_more_is_better_keeps_the_largest(tmp_path):
    run = training.train(evaluating(tmp_path / "run", best="recall"))
    found = [line for line in metrics(run.folder) if "evaluation" in line]
    values = [line["evaluation"]["recall"] for line in found]
    kept = checkpoint.read(run.folder / "checkpoints" / "best.pt")
    assert kept["step"] == found[values.index(max(values))]["step"]


@pytest.mark.bitwise
def test_evaluation_changes_nothing_of_the_training(tmp_path):
    training.train(evaluating(tmp_path / "one"))
    training.train(replace(evaluating(tmp_path / "other"), evaluation=EvaluationConfig()))
    assert_identical(final_state(tmp_path / "one"), final_state(tmp_path / "other"))


def test_a_resumed_run_remembers_the_best(tmp_path):
    training.train(evaluating(tmp_path / "whole"))
    training.train(replace(evaluating(tmp_path / "parts"), steps=20))
    training.train(evaluating(tmp_path / "parts"), resume=True)
    steps = [
        checkpoint.read(tmp_path / name / "checkpoints" / "best.pt")["step"]
        for name in ("whole", "parts")
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"best": "frechett"}, "evaluation.best: expected one of .*did you mean frechet"),
        ({"extractor": "pixels"}, "extractor: expected .*points for points, got pixels"),
    ],
)
def test_evaluation_settings_are_checked_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        training.train(evaluating(tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()
