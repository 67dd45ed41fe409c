"""History: records of anybody become series of bounded length."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sngan import Config
from sngan.health import History, diagnose
from sngan.health.statistics import holds_since, rolling_median, turning_points


def test_numbers_of_groups_become_series():
    history = History(
        [
            {"step": 1, "critic_loss": 2, "health": {"spread": 0.5}, "sigma": {"a": 1.0, "b": 3.0}},
            {"step": 2, "evaluation": {"frechet": 4.0}},
        ]
    )
    found = {name: history[name].values.tolist() for name in
             ("critic_loss", "spread", "sigma_largest", "evaluation.frechet", "none")}  # fmt: skip
    assert found == {
        "critic_loss": [2], "spread": [0.5], "sigma_largest": [3], "evaluation.frechet": [4],
        "none": [],
    }  # fmt: skip
    assert history.step == 2


def test_a_long_run_keeps_evenly_spaced_values():
    history = History({"step": k, "w1": float(k)} for k in range(50_000))
    series = history["w1"]
    assert 1000 <= len(series) <= 4097
    assert np.unique(np.diff(series.steps)).size == 1
    assert (series.steps == series.values).all()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["step", "critic_loss", "health", "sigma", "evaluation", "not_finite", "w1", "x"]
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(NAMES, JUNK, max_size=6), max_size=20))
def test_strange_records_raise_nothing(made):
    history = History(made)
    if history.num_records:
        found = diagnose(history, Config())
        json.dumps(found.to_dict())
        assert found.text()


def test_values_that_are_no_numbers_are_left_out():
    values = [1.0, math.nan, None, "2", True, math.inf, 10**400, 3.0]
    history = History({"step": k, "w1": value} for k, value in enumerate(values))
    assert history["w1"].steps.tolist() == [0, 7]


def test_a_condition_holds_since_its_last_break():
    series = History({"step": 10 * k, "w1": 1.0} for k in range(6))["w1"]
    mask = np.array([True, False, True, True, True, True])
    assert holds_since(series, mask, least=4) == (20, 4)
    assert holds_since(series, mask, least=5) is None


def test_the_rolling_median_looks_back():
    assert rolling_median(np.array([1.0, 9.0, 2.0, 3.0, 100.0])).tolist() == [1, 5, 2, 3, 3]


@pytest.mark.parametrize(
    ("values", "turns"),
    [
        ([0, 3, 0, 3, 0], [1, 2, 3]),
        ([0, 1, 2, 3, 4], []),
        ([0, 3, 2.5, 3, 0, 0.4, 0], [1]),
        ([5, 0, 5], [1]),
        ([], []),
    ],
)
def test_turning_points_of_zigzags(values, turns):
    assert turning_points(values, least=1.0) == turns


@given(st.lists(st.floats(-0.49, 0.49), max_size=60))
def test_noise_below_the_size_of_a_turn_has_none(values):
    assert turning_points(values, least=1.0) == []
