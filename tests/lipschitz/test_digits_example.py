"""The example of certified digits: it runs as a user runs it, and proofs stay below attacks."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples" / "certified_digits.py"


def rows(table: str) -> list[list[float]]:
    """The numbers of the lines that begin with a radius, with shares in percent."""
    lines = (line.replace("%", "").split() for line in table.splitlines())
    return [
        [float(word) for word in words]
        for words in lines
        if len(words) == 4 and words[0][0].isdigit()
    ]


@pytest.mark.slow
def test_the_digits_are_certified_below_the_attack(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ten, pair = (rows(part) for part in done.stdout.split("0 or 8"))
    assert [row[0] for row in ten] == [row[0] for row in pair]
    for _, certified, attacked, clean in [*ten, *pair]:
        assert 0 <= certified <= attacked <= clean <= 100
    for table in (ten, pair):
        certified = [row[1] for row in table]
        assert certified == sorted(certified, reverse=True)
    # radius 0.5 for ten digits, and radius 1 for the pair
    assert 75 < ten[1][1] < 95
    assert 92 < ten[1][3] < 100
    assert 93 < pair[3][1] <= 100
    assert pair[3][3] > 98
    assert "899 samples; largest constant 1.41421" in done.stdout
    with Image.open(tmp_path / "certified_digits.png") as picture:
        assert picture.size == (960, 384)
