"""Two commands in one folder at the same time: one trains, the other is refused or reads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import helpers.pairs

ALL = int(os.environ.get("SNGAN_PAIRS", "20"))


@pytest.mark.parametrize(
    "count", [1, pytest.param(ALL, marks=pytest.mark.faults)], ids=["few", "all"]
)
def test_pairs_of_commands(tmp_path, count, tally):
    program = str(Path(helpers.pairs.__file__))
    done = subprocess.run(
        [sys.executable, program, str(tmp_path), str(count), str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    print(found["pairs"])
    counted = tally("two commands at once")
    counted.tried, counted.lost = sum(found["pairs"].values()), found["lost"]
    assert counted.wrong == []
    assert counted.tried == count
