"""Presets and hours: the size and the steps of a run, and the line about its time."""

import itertools
import re
from dataclasses import replace

import pytest
import torch

from helpers import tiny_run
from sngan import Config, train
from sngan import config as configs
from sngan.config import EvaluationConfig, ModelConfig
from sngan.config.presets import PRESETS, with_preset
from sngan.engine import speed
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.utils.families import FamilyDefault
from sngan.utils.text import rough_duration

GIVEN = {"width": 0.75, "batch_size": 48, "steps": 77}


def config_of(given, **settings):
    rest = {key: value for key, value in given.items() if key != "width"}
    model = ModelConfig(**{"width": given["width"]} if "width" in given else {})
    return Config(model=model, **rest, **settings)


def size_of(config):
    return {"width": config.model.width, "batch_size": config.batch_size, "steps": config.steps}


@pytest.mark.parametrize("preset", ["auto", "none", *PRESETS])
@pytest.mark.parametrize("count", range(4))
def test_no_preset_replaces_what_the_user_gave(preset, count):
    for keys in itertools.combinations(GIVEN, count):
        given = {key: GIVEN[key] for key in keys}
        for side, is_on_cpu in itertools.product((None, 8, 64), (True, False)):
            before = config_of(given, preset=preset)
            after = with_preset(before, side=side, is_on_cpu=is_on_cpu)
            assert {key: size_of(after)[key] for key in given} == given
            name = preset
            if preset == "auto":
                is_laptop = not given and side == 64 and is_on_cpu
                name = "laptop" if is_laptop else "none"
            assert after.preset == name
            chosen = {} if name == "none" else vars(PRESETS[name])
            for key in GIVEN.keys() - given.keys():
                value = size_of(after)[key]
                assert value == chosen.get(key, size_of(Config())[key])
                assert isinstance(value, FamilyDefault) == (name == "none")


def test_points_and_digits_keep_their_defaults(tmp_path):
    for source, steps in (("ring8", 18_000), ("digits", 10_000)):
        config = Config(data=source)
        side = None if source == "ring8" else 8
        found = with_preset(config, side=side, is_on_cpu=True)
        family = found.for_points if side is None else found.for_images
        assert family.steps == steps


def test_a_run_keeps_its_preset_and_refuses_another(tmp_path):
    source, run = tiny_run.pictures(tmp_path / "pictures.npz"), tmp_path / "run"
    config = tiny_run.config_of(run, source, preset="laptop", steps=1)
    training.train(config)
    saved = configs.load(run / "config.yaml")
    assert (saved.preset, saved.model.width, saved.batch_size) == ("laptop", 0.05, 4)
    training.train(replace(config, preset="auto", steps=2), resume=True)
    assert configs.load(run / "config.yaml").preset == "laptop"
    with pytest.raises(ValueError, match=r"^resume: .*preset: 'laptop' → 'paper'"):
        training.train(replace(config, preset="paper"), resume=True)


def config_without_steps(run, source, **settings):
    """The tiny run without its number of steps, which hours decide."""
    given = tiny_run.config_of(run, source)
    fields = {key: value for key, value in vars(given).items() if key in vars(Config())}
    return Config(**{**fields, "steps": Config().steps, **settings})


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_a_run_of_some_hours_is_bit_for_bit_the_run_of_its_steps(tmp_path, monkeypatch, schedule):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    by_hours, by_steps = tmp_path / "hours", tmp_path / "steps"
    original, measured = speed.seconds_per_step, []

    def measure(*arguments, **named):
        measured.append(original(*arguments, **named))
        # a step seems to take as long that five steps fill the hour
        return 700.0

    monkeypatch.setattr(speed, "seconds_per_step", measure)
    training.train(config_without_steps(by_hours, source, hours=1, schedule=schedule))
    assert measured
    assert measured[0] > 0
    saved = configs.load(by_hours / "config.yaml")
    assert saved.steps == int(0.95 * 3600 / 700) == 4
    assert saved.hours is None
    log = (by_hours / "train.log").read_text()
    assert "hours 1: by some timed steps, the run and its schedules end at step 4" in log
    training.train(tiny_run.config_of(by_steps, source, steps=4, schedule=schedule))
    states = [checkpoint.read(run / "checkpoints" / "last.pt") for run in (by_hours, by_steps)]
    for state in states:
        del state["seconds"]
    assert tiny_run.same(*states)
    # a resumed run keeps the steps, and does not measure again
    training.train(tiny_run.config_of(by_hours, source, steps=4, schedule=schedule), resume=True)
    assert len(measured) == 1


def batches():
    """An iterator of pictures that tell their place in it."""
    for number in itertools.count():
        yield (torch.arange(64) + number).view(1, 1, 8, 8).expand(512, -1, -1, -1).to(torch.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 5])
def test_hours_use_up_no_batch_of_an_iterator(tmp_path, monkeypatch, steps):
    """Timing reads more than the first samples, which the run has before it reads on."""
    original, measured = speed.seconds_per_step, []

    def measure(*arguments, **named):
        measured.append(original(*arguments, **named))
        return 0.95 * 3600 / (steps + 0.5)

    monkeypatch.setattr(speed, "seconds_per_step", measure)
    by_hours, by_steps = tmp_path / "hours", tmp_path / "steps"
    settings = {"batch_size": 1500, "evaluation": EvaluationConfig(every=None)}
    train(config_without_steps(by_hours, "own", hours=1, **settings), data=batches())
    given = tiny_run.config_of(by_steps, "own", steps=steps, **settings)
    train(given, data=batches())
    assert measured
    states = [checkpoint.read(run / "checkpoints" / "last.pt") for run in (by_hours, by_steps)]
    for state in states:
        del state["seconds"]
    assert tiny_run.same(*states)


def test_hours_and_steps_exclude_each_other(tmp_path):
    config = Config(hours=1, steps=5, out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"^hours: expected none where steps is given, got 1"):
        training.train(config)
    for wrong in (-1, float("nan"), float("inf"), "x"):
        with pytest.raises((ValueError, TypeError), match="hours"):
            Config(hours=wrong)


@pytest.mark.parametrize("is_long", [True, False])
def test_the_line_about_the_time_changes_no_bit(tmp_path, monkeypatch, capsys, is_long):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    runs = [tmp_path / name for name in ("with", "without")]
    config = [tiny_run.config_of(run, source, steps=7) for run in runs]
    if is_long:
        monkeypatch.setattr(speed, "WORTH_A_LINE", 0.0)
        monkeypatch.setattr(speed, "WORTH_A_HINT", 0.0)
    training.train(config[0])
    said = capsys.readouterr().out
    monkeypatch.undo()
    training.train(config[1])
    found = re.search(r"3 steps ≈ \S+ m?s on this CPU; --preset laptop ≈ \S+ \w+\n", said)
    assert (found is not None) == is_long
    states = [checkpoint.read(run / "checkpoints" / "last.pt") for run in runs]
    for state in states:
        del state["seconds"]
    assert tiny_run.same(*states)
    assert tiny_run.differences(*runs) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.04 s"), (99, "99 s"), (100, "1.7 min"), (7200, "2 h"), (108_000, "30 h"),
     (864_000, "10 days"), (5_000, "83 min")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert rough_duration(seconds) == words
