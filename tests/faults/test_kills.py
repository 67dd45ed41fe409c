"""A run that is killed at any call that writes goes on to the undisturbed run, bit for bit."""

import pytest

from helpers.forkserver import in_forked_process
from helpers.kills import kill_runs


@pytest.mark.parametrize(
    "count", [pytest.param(4), pytest.param(500, marks=pytest.mark.faults)], ids=["few", "all"]
)
def test_nothing_is_lost_to_kills(tmp_path, count, tally):
    found = in_forked_process(kill_runs, tmp_path, count, count)
    counted = tally("kills")
    counted.tried, counted.lost = found["kills"], found["lost"]
    assert counted.wrong == []
    assert counted.tried == count
