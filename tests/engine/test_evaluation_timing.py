"""Evaluation timing: numbers decide by the step, auto by the time that evaluations take."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.training import TIMES, assert_identical, final_state, metrics, tiny
from sngan.config import EvaluationConfig
from sngan.engine import evaluation_timing
from sngan.engine import train as training
from sngan.engine.evaluation_timing import SHARE, EvaluationTiming


def simulated(timing, steps, *, step_seconds, cost):
    """The steps that are evaluated, and the seconds of training and of evaluations."""
    trained = spent = 0.0
    found = []
    for step in range(1, steps + 1):
        trained += step_seconds
        now = trained + spent
        if timing.is_due(step, lambda now=now: now):
            found.append(step)
            spent += cost
            timing.add(cost)
    return found, trained, spent


@pytest.mark.parametrize(
    ("every", "expected"), [(None, []), (3, [3, 6, 9, 10]), (20, [10]), (1, list(range(1, 11)))]
)
def test_a_number_decides_by_the_step(every, expected):
    timing = EvaluationTiming(every, steps=10, is_images=True)
    found, *_ = simulated(timing, 10, step_seconds=1e-9, cost=100.0)
    assert found == expected


@given(
    steps=st.integers(1, 400),
    step_seconds=st.floats(1e-3, 30),
    cost=st.floats(1e-3, 20),
    is_images=st.booleans(),
)
@settings(max_examples=examples(60), deadline=None)
def test_auto_takes_a_twentieth_of_the_time_at_most(steps, step_seconds, cost, is_images):
    timing = EvaluationTiming("auto", steps=steps, is_images=is_images)
    found, trained, spent = simulated(timing, steps, step_seconds=step_seconds, cost=cost)
    # only the cost of the first evaluation is a guess, and it is 20 or 3 seconds
    guess = 20.0 if is_images else 3.0
    assert spent <= max(SHARE * trained, cost - guess + SHARE * trained) * (1 + 1e-9)
    assert len(found) <= 21
    assert not found or found[-1] == steps or cost > guess


def test_a_long_run_has_twenty_evaluations_and_the_last_step():
    timing = EvaluationTiming("auto", steps=10_000, is_images=True)
    found, *_ = simulated(timing, 10_000, step_seconds=1.0, cost=2.0)
    assert found == list(range(500, 10_001, 500))


def test_a_short_run_has_none():
    timing = EvaluationTiming("auto", steps=100, is_images=True)
    assert simulated(timing, 100, step_seconds=0.1, cost=1.0)[0] == []


def test_a_resumed_run_knows_what_was_spent():
    timing = EvaluationTiming("auto", steps=100, is_images=False)
    assert timing.is_due(50, lambda: 100.0)
    timing.remember({"step": 25, "evaluation": {}, "evaluation_seconds": 4.0})
    timing.remember({"step": 30, "evaluation_seconds": "long"})
    assert not timing.is_due(50, lambda: 100.0)
    assert timing.is_due(50, lambda: 400.0)


@pytest.fixture
def cheap(monkeypatch):
    """Automatic evaluations of a run that takes less than a second."""
    monkeypatch.setattr(evaluation_timing, "SHARE", 1e9)


@pytest.mark.bitwise
def test_automatic_evaluations_change_nothing_of_the_training(tmp_path, cheap):
    evaluation = EvaluationConfig(samples=50)
    assert evaluation.every == "auto"
    config = tiny(tmp_path / "auto", data="ring8", evaluation=evaluation, steps=6)
    training.train(config)
    off = replace(config, evaluation=EvaluationConfig(every=None), out=str(tmp_path / "off"))
    training.train(off)
    assert_identical(final_state(tmp_path / "auto"), final_state(tmp_path / "off"))
    found = metrics(tmp_path / "auto")
    evaluated = [record for record in found if "evaluation" in record]
    assert [record["step"] for record in evaluated] == list(range(1, 7))
    assert all(record["evaluation_seconds"] > 0 for record in evaluated)
    plain = [{k: v for k, v in r.items() if k not in TIMES} for r in metrics(tmp_path / "off")]
    rest = [r for r in found if "evaluation" not in r]
    assert [{k: v for k, v in r.items() if k not in TIMES} for r in rest] == plain
    assert (tmp_path / "auto" / "checkpoints" / "best.pt").is_file()


def test_data_that_cannot_be_evaluated_does_not_end_the_training(tmp_path, cheap, monkeypatch):
    from sngan.metrics import Evaluator

    def refuse(*_, **__):
        raise ValueError("dataset: expected at least 10 samples, got 9")

    monkeypatch.setattr(Evaluator, "from_settings", refuse)
    training.train(tiny(tmp_path / "run", data="ring8", steps=4))
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("no evaluation of this run: dataset: expected at least 10 samples, got 9") == 1
    assert not any("evaluation" in record for record in metrics(tmp_path / "run"))


def test_a_choice_that_does_not_fit_is_refused_before_the_training(tmp_path):
    config = tiny(tmp_path / "run", data="ring8", evaluation=EvaluationConfig(best="frechett"))
    with pytest.raises(ValueError, match="did you mean frechet"):
        training.train(config)
    assert not (tmp_path / "run").exists()
