"""A run that is killed at any call that writes goes on to the undisturbed run, bit for bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import helpers.kills


@pytest.mark.parametrize(
    "count", [pytest.param(4), pytest.param(500, marks=pytest.mark.faults)], ids=["few", "all"]
)
def test_nothing_is_lost_to_kills(tmp_path, count, tally):
    program = str(Path(helpers.kills.__file__))
    done = subprocess.run(
        [sys.executable, program, str(tmp_path), str(count), str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    counted = tally("kills")
    counted.tried, counted.lost = found["kills"], found["lost"]
    assert counted.wrong == []
    assert counted.tried == count
