"""Schedules: the language of ``A->B``, its values, and settings that take it."""

import dataclasses
import json
import math
from fractions import Fraction
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sngan import METHODS, Config
from sngan import config as configs
from sngan.cli import main
from sngan.methods import Method, Schedule, named, require_scheduled
from sngan.methods.schedule import factor, parse_schedule

NUMBERS = st.floats(-1e6, 1e6)
SCHEDULES = st.builds(Schedule, NUMBERS, NUMBERS, st.sampled_from(["linear", "cosine"]))


@given(SCHEDULES)
def test_the_text_of_a_schedule_is_read_as_the_schedule(schedule):
    assert parse_schedule(str(schedule), "x") == schedule
    assert parse_schedule(f"  {schedule} ".replace("->", " -> "), "x") == schedule
    if schedule.shape == "linear":
        assert parse_schedule(f"linear {schedule}", "x") == schedule


@given(NUMBERS)
def test_the_text_of_a_number_is_the_number(number):
    parsed = parse_schedule(str(number), "x")
    assert parsed == number
    assert isinstance(parsed, float)


@given(SCHEDULES, st.integers(1, 10_000))
def test_a_schedule_goes_from_one_end_to_the_other_and_never_back(schedule, steps):
    assert schedule.at(0, steps) == schedule.start
    assert schedule.at(steps, steps) == schedule.end
    assert schedule.at(steps + 1, steps) == schedule.end
    places = sorted({0, 1, steps // 3, steps // 2, steps - 1, steps})
    values = [schedule.at(step, steps) for step in places]
    low, high = sorted((schedule.start, schedule.end))
    assert all(low <= value <= high for value in values)
    # rounding may turn two neighbours around
    slack = 4 * math.ulp(max(abs(low), abs(high)))
    signs = 1 if schedule.end >= schedule.start else -1
    for before, after in pairwise(values):
        assert signs * (after - before) >= -slack


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(1, 500), st.data())
def test_a_line_is_the_exact_line(start, end, steps, data):
    step = data.draw(st.integers(0, steps))
    exact = Fraction(start) + (Fraction(end) - start) * Fraction(step, steps)
    value = Schedule(start, end).at(step, steps)
    assert value == pytest.approx(float(exact), abs=1e-12 * (1 + abs(start) + abs(end)))


def test_a_cosine_has_its_closed_form():
    schedule = Schedule(2.0, 0.2, "cosine")
    known = {0: 2.0, 1: 1.1 + 0.45 * math.sqrt(3), 2: 1.55, 3: 1.1, 4: 0.65, 6: 0.2}
    for step, value in known.items():
        assert schedule.at(step, 6) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("word", "at_quarter"), [("constant", 1), ("linear", 0.75)])
def test_a_word_is_a_factor(word, at_quarter):
    assert factor(word).at(1, 4) == at_quarter


BAD = ["", "->", "1->", "->1", "1->2->3", "1=>2", "1-2", "a->b", "cosine", "cosine 1", "nan", "inf"]
BAD += ["1->inf", "cubic 1->2", "1 2", "1->2 3", "linear", "constant", "0x1->2", "1,5->2", "1->nan"]


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_parse_is_one_line(text):
    with pytest.raises(
        ValueError, match=r"^x: expected a number, A->B .* or cosine A->B, got "
    ) as e:
        parse_schedule(text, "x")
    assert repr(text) in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("value", [None, True, [1], {}, b"1"])
def test_other_kinds_are_refused(value):
    with pytest.raises(ValueError, match=r"^x: expected a finite number of at least 0, got "):
        require_scheduled(value, "x", minimum=0.0)


# each setting, a good schedule for it, and one end that is outside its range
SETTINGS = {
    "method.lr": ("2e-4->5e-5", "1e-3->0"),
    "method.lr_critic": ("cosine 4e-4->1e-4", "-1->1"),
    "method.penalty_weight": ("2->0.2", "1->-1"),
    "method.betas": ([0.0, "0.9->0.99"], [0.0, "0.9->1"]),
    "ema_decay": ("0.9->0.999", "0.9->1.1"),
    "ema_halflife": ("0->500", "-1->500"),
}


def nested(key, value):
    group, _, name = key.rpartition(".")
    return {group: {name: value}} if group else {name: value}


def flag(key, value):
    return f"{key}={value}" if isinstance(value, str) else f"{key}=[{value[0]},{value[1]}]"


@pytest.mark.parametrize("key", SETTINGS)
def test_each_setting_reads_a_schedule_from_everywhere(key, tmp_path, capsys):
    good, _ = SETTINGS[key]
    config = configs.from_dict(nested(key, good))
    value = getattr(config.method if "." in key else config, key.rpartition(".")[2])
    assert isinstance(value[1] if isinstance(value, tuple) else value, Schedule)
    configs.save(config, tmp_path / "config.yaml")
    assert configs.load(tmp_path / "config.yaml") == config
    written = configs.to_dict(config)
    assert configs.from_dict(yaml.safe_load(yaml.safe_dump(written))) == config
    assert configs.from_dict(json.loads(json.dumps(written))) == config
    # the Python value itself
    owner = config.method if "." in key else config
    assert dataclasses.replace(owner, **{key.rpartition(".")[2]: value}) == owner
    for flags in (["--set", flag(key, good)], ["--config", str(tmp_path / "config.yaml")]):
        assert main(["train", *flags, "--print_config"]) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        known = {field.name for field in dataclasses.fields(Config)}
        read = configs.from_dict({key: printed[key] for key in known & set(printed)})
        assert dataclasses.replace(read, out=config.out) == config


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("bad", ["range", "text"])
def test_each_setting_refuses_what_does_not_fit(key, bad, capsys):
    value = SETTINGS[key][1] if bad == "range" else "1=>2"
    if isinstance(SETTINGS[key][0], list) and bad == "text":
        value = [0.0, value]
    with pytest.raises(ValueError, match=f"^{key}: expected "):
        configs.from_dict(nested(key, value))
    assert main(["train", "--set", flag(key, value)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"sngan: error: --{key}: expected ")
    assert printed.count("\n") == 1


def test_plain_numbers_are_as_before():
    for method in METHODS.values():
        written = configs.to_dict(Config(method=method))["method"]
        assert named(**written) == method
    assert configs.to_dict(Config())["method"]["lr"] == 2e-4
    assert configs.to_dict(Config(method="sn"))["method"]["betas"] == [0.0, 0.9]
    assert Method(lr=1e-3).lr == 1e-3


def test_a_half_life_excludes_a_decay():
    assert Config(ema_halflife=500).ema_halflife == 500
    assert Config(ema_halflife=0).ema_halflife is None
    with pytest.raises(ValueError, match=r"^ema_halflife: expected none where ema_decay is given"):
        Config(ema_halflife=500, ema_decay=0.99)
