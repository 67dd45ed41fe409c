"""Distance of sources that differ in size, channels and settings: both are read in one form."""

import json
import re

import numpy as np
import pytest

from helpers.zoo.case import image, put_all
from sngan.cli import main
from sngan.config import DataConfig
from sngan.tasks.distance import distance


def images_of(folder, level: int, *, size=(8, 8), mode: str = "RGB", count: int = 3) -> str:
    return put_all(folder, {f"{i}.png": image(level, size=size, mode=mode) for i in range(count)})


def test_grey_against_colour_of_another_size(tmp_path, caplog):
    """One grey level against another one: W1 is the length of the difference of two images."""
    grey = images_of(tmp_path / "a", 0, mode="L", size=(16, 16))
    colour = images_of(tmp_path / "b", 255)
    found = distance(grey, colour)
    assert found.dimension == 3 * 8 * 8
    assert found.w1 == pytest.approx(2 * np.sqrt(192))
    assert "has 16×16 grey images, " in caplog.text
    assert "has 8×8 colour: both are read as 8×8 colour" in caplog.text
    assert distance(colour, grey).w1 == pytest.approx(found.w1)


@pytest.mark.parametrize(
    ("flags", "dimension"),
    [
        (["--channels", "1"], 64),
        (["--resolution", "4x16"], 192),
        (["--set", "resolution=4", "channels=1"], 16),
        (["--set", "data.channels=4", "data.fit=pad"], 256),
    ],
)
def test_flags_read_both_alike(tmp_path, capsys, flags, dimension):
    grey = images_of(tmp_path / "a", 0, mode="L")
    colour = images_of(tmp_path / "b", 255)
    assert main(["distance", grey, colour, *flags, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["dimension"] == dimension


def test_a_split_of_each(tmp_path):
    folder = tmp_path / "a"
    images_of(folder / "train", 0)
    images_of(folder / "test", 255)
    split = distance(str(folder), str(folder), settings=DataConfig(split="test"))
    assert split.w1 == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["digits", "--channels", "2"], "--channels: expected 1, 3 or 4, got 2"),
        (["digits", "--resolution", "3"], "--resolution: expected an integer of at least 4"),
        (["digits", "--fit", "cut"], "--fit: expected one of crop, pad, stretch"),
        (["digits", "--set", "split"], "--set: expected key=value"),
        (["digits", "--set", "steps=3"], "--steps: expected a flag of sngan distance"),
        (["digits", "--split", "test"], "--split: expected train"),
        (["ring8"], "source_y: expected samples of shape"),
        (["nothing"], "source_y: expected digits"),
    ],
)
def test_errors_name_the_flag(flags, message, capsys):
    assert main(["distance", "digits", *flags]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "error" in one]
    assert re.match(f"sngan: error: {message}", line), line
