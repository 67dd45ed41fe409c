"""Random combinations of settings: an interrupted and resumed run is the uninterrupted one."""

import os
import random
import signal
from pathlib import Path

import pytest

from helpers.combinations import STEPS, drawn
from helpers.training import assert_identical, final_state, metrics, timeless
from sngan.engine import loop, train_step
from sngan.engine import train as training
from sngan.engine.errors import Interrupted

# draws that take little time
QUICK, DRAWS = (2, 4), 60


def interrupt_at(step: int, monkeypatch) -> None:
    def train(config, state):
        terms = train_step(config, state)
        if state.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return terms

    monkeypatch.setattr(loop, "train_step", train)


def settings_of(run: Path) -> list[str]:
    lines = (run / "config.yaml").read_text().splitlines()
    return [line for line in lines if not line.startswith("out:")]


@pytest.mark.bitwise
@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=() if seed in QUICK else pytest.mark.slow) for seed in range(DRAWS)],
)
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, monkeypatch, seed):
    # figures of health are part of it, which longer runs have
    monkeypatch.setattr("sngan.engine.health.figures._EVERY", 4)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    training.train(drawn(seed, whole))
    with monkeypatch.context() as patch:
        interrupt_at(random.Random(seed).randrange(1, STEPS), patch)
        with pytest.raises(Interrupted):
            training.train(drawn(seed, parts))
    training.train(drawn(seed, parts), resume=True)
    assert_identical(final_state(whole), final_state(parts))
    assert timeless(metrics(whole)) == timeless(metrics(parts))
    assert settings_of(whole) == settings_of(parts)
    weights = [(run / "generator.safetensors").read_bytes() for run in (whole, parts)]
    assert weights[0] == weights[1]
