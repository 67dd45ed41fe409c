"""Two commands in one folder at the same time: one trains, the other is refused or reads."""

import os

import pytest

from helpers.forkserver import in_forked_process
from helpers.pairs import try_pairs

ALL = int(os.environ.get("SNGAN_PAIRS", "20"))


@pytest.mark.parametrize(
    "count", [1, pytest.param(ALL, marks=pytest.mark.faults)], ids=["few", "all"]
)
def test_pairs_of_commands(tmp_path, count, tally):
    found = in_forked_process(try_pairs, tmp_path, count, count)
    print(found["pairs"])
    counted = tally("two commands at once")
    counted.tried, counted.lost = sum(found["pairs"].values()), found["lost"]
    assert counted.wrong == []
    assert counted.tried == count
