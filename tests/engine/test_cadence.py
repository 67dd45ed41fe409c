"""Outputs by steps and by time: when each is due, and that no result depends on it."""

import itertools
import json
import random

import pytest

from helpers import tiny_run
from helpers.clock import Clock
from helpers.ranks import on_ranks
from sngan import Config
from sngan import config as configs
from sngan.cli import main
from sngan.config import PerformanceConfig
from sngan.config.intervals import require_interval, seconds_of
from sngan.distributed import collectives
from sngan.engine import cadence
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.utils import signals

_FEW = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
_NETWORKS = ("generator", "critic", "average", "generator_optimizer", "critic_optimizer")


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(cadence, "time", made)
    return made


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5min", 300), ("1h", 3600), ("0.5 h", 1800), ("1.5min", 90), (50, None)],
)
def test_the_seconds_of_an_interval(text, seconds):
    require_interval(text, "log_every")
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "wrong",
    ["", "s", "0s", "-1s", "30", "30 seconds", "1d", "nan s", "1e3s", "٣s", 0, -1, True, 1.5],
)
@pytest.mark.parametrize("key", ["log_every", "sample_every", "save_every"])
def test_another_interval_is_named(key, wrong):
    with pytest.raises(ValueError, match=rf"^{key}: expected "):
        Config(**{key: wrong})


def due(clock, timer, *, seconds, steps):
    """The steps after which a timer is due if each step takes so long, and the times of them."""
    found = []
    for step in range(1, steps + 1):
        timer.has_time_come = timer.is_overdue()
        clock.now += seconds
        if timer.is_due(step):
            found.append((step, clock.now))
    return found


def test_by_time_the_outputs_are_that_far_apart(clock):
    timer = cadence.Timer("30s", last_step=100)
    times = [time for _, time in due(clock, timer, seconds=4.0, steps=100)]
    assert all(30 <= later - time <= 38 for time, later in itertools.pairwise(times[:-1]))
    assert times[-1] == 400


@pytest.mark.parametrize("seconds", [0.001, 0.9, 7.0, 11.0, 45.0])
def test_the_first_record_and_picture_come_within_a_minute(clock, seconds):
    """Whatever the number of steps between two is; later ones come by steps."""
    made = cadence.Cadence(Config(steps=10**6, log_every=10**6, sample_every="2h"))
    clock.now = 0.0
    for timer in (made.log, made.picture):
        steps = int(100 / seconds)
        clock.now = 0.0
        found = due(clock, timer, seconds=seconds, steps=steps)
        assert len(found) == 1
        assert found[0][1] < 60
    assert due(clock, made.save, seconds=seconds, steps=int(100 / seconds) % 500) == []


def test_a_quick_run_has_no_record_more(clock):
    made = cadence.Cadence(Config(steps=100, log_every=7))
    steps = [step for step, _ in due(clock, made.log, seconds=0.01, steps=100)]
    assert steps == [*range(7, 100, 7), 100]


TWO = PerformanceConfig(device="cpu", devices=2)


def _agreed(is_slow):
    """The decisions of a rank whose own clock says nothing, or that everything is overdue."""
    cadence.time = clock = Clock()
    made = cadence.Cadence(Config(steps=9, log_every="1h", sample_every="1h", save_every="1h"))
    clock.now += 7200.0 if is_slow else 0.0
    stops = made.agree(False)
    return stops, [timer.is_due(1) for timer in (made.log, made.picture, made.save)]


def _on_two_ranks(_):
    """The decisions of both ranks if only the clock of rank 0 runs, and if only that of rank 1."""
    decisions = [_agreed(collectives.rank() == slow) for slow in (0, 1)]
    return collectives.all_gather_object(decisions)


def test_all_ranks_follow_the_clock_of_rank_zero():
    for of_zero, of_one in on_ranks(TWO, _on_two_ranks):
        assert of_zero == (False, [True, True, True])
        assert of_one == (False, [False, False, False])


def stopped_after(monkeypatch, steps):
    """Ask the training to stop after so many steps, as Ctrl-C would."""
    asked = itertools.count()
    original = signals.stop_on_interrupt

    class Stop:
        def __enter__(self):
            self._inner = original()
            self._inner.__enter__()
            return lambda: next(asked) >= steps

        def __exit__(self, *error):
            return self._inner.__exit__(*error)

    monkeypatch.setattr("sngan.engine.loop.stop_on_interrupt", Stop)


def weights(run):
    state = checkpoint.read(run / "checkpoints" / "last.pt")
    return {key: state[key] for key in (*_NETWORKS, "rng", "sampler", "step")}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 6))]
)
def test_interrupted_with_outputs_by_time_is_bit_for_bit_uninterrupted(tmp_path, monkeypatch, seed):
    generator = random.Random(seed)
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    times = ["0.001s", "0.02s", "0.1s", "1h", 1, 3]
    every = {
        key: generator.choice(times[:4] if key == "log_every" else times)
        for key in ("log_every", "sample_every", "save_every")
    }
    whole, run = tmp_path / "whole", tmp_path / "run"
    training.train(tiny_run.config_of(whole, source, steps=8))
    config = tiny_run.config_of(run, source, steps=8, **every)
    with monkeypatch.context() as patch:
        stopped_after(patch, generator.randint(1, 7))
        with pytest.raises(training.Interrupted):
            training.train(config)
    training.train(config, resume=True)
    assert tiny_run.same(weights(run), weights(whole)), every
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 8


def test_the_flags_and_the_file_take_times(tmp_path):
    source, run = tiny_run.pictures(tmp_path / "pictures.npz"), str(tmp_path / "run")
    small = ["--width", "0.05", "--batch_size", "4", "--n_critic", "1", "--steps", "2"]
    times = ["--log_every", "30s", "--sample_every", "5min", "--set", "save_every=1h"]
    assert main(["train", "--data", source, "--out", run, *small, *times]) == 0
    saved = configs.load(tmp_path / "run" / "config.yaml")
    assert (saved.log_every, saved.sample_every, saved.save_every) == ("30s", "5min", "1h")
    assert main(["train", "--out", run, "--resume", "--steps", "3"]) == 0
