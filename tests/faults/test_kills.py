"""A run that is killed at any call that writes goes on to the undisturbed run, bit for bit."""

import pytest

import helpers.kills
from helpers.harness import run_harness


@pytest.mark.parametrize(
    "count", [pytest.param(4), pytest.param(500, marks=pytest.mark.faults)], ids=["few", "all"]
)
def test_nothing_is_lost_to_kills(tmp_path, count, tally):
    found = run_harness(helpers.kills, tmp_path, count)
    counted = tally("kills")
    counted.tried, counted.lost = found["kills"], found["lost"]
    assert counted.wrong == []
    assert counted.tried == count
