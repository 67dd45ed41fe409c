"""Decoding against Pillow: sizes, modes, orientation."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.pictures import as_tensor, photo
from sngan.data import open_source
from sngan.data.images.pixels import fitted_pixels
from sngan.data.types import ImageSpec


def test_resolution_resizes_the_shorter_side_and_cuts_the_centre(tmp_path):
    wide = photo(0, size=(60, 40))
    wide.save(tmp_path / "a.png")
    opened = open_source(str(tmp_path), resolution=20)
    centre = wide.crop((10, 0, 50, 40)).resize((20, 20), Image.Resampling.BICUBIC)
    difference = opened.samples[0].int() - as_tensor(centre).int()
    assert difference.abs().max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("size", "side"), [((16, 16), 40), ((40, 24), 8), ((9, 31), 5), ((101, 99), 64), ((7, 7), 6)]
)
def test_resizing_is_that_of_pillow(size, side, mode):
    noise = np.random.default_rng(side).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    square = min(size)
    left, top = ((length - square) // 2 for length in size)
    cut = picture.crop((left, top, left + square, top + square))
    expected = as_tensor(cut.resize((side, side), Image.Resampling.BICUBIC)).int()
    found = fitted_pixels(picture, ImageSpec((side, side), len(expected)))
    assert (torch.from_numpy(found).int() - expected).abs().max() <= 2


def test_resizing_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    grey = open_source(str(tmp_path), resolution=16).samples[0, :, 2:-2, 2:-2]
    assert 110 < grey.min() <= grey.max() < 145


@pytest.mark.parametrize(
    ("size", "side"), [((32, 32), 32), ((30, 50), 28), ((128, 200), 128), ((300, 200), 64)]
)
def test_default_resolution(tmp_path, size, side, caplog):
    photo(0, size=size).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING, logger="sngan"):
        assert open_source(str(tmp_path)).sample_shape == (3, side, side)
    assert ("are resized" in caplog.text) == (side not in size)


def test_modes_of_pictures_become_grey_or_colour(tmp_path):
    deep = (np.linspace(0, 65535, 64).reshape(8, 8)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    opened = open_source(str(tmp_path))
    np.testing.assert_array_equal(opened.samples[0, 0], deep // 257)
    for index, mode in enumerate(("RGB", "RGBA", "P", "CMYK")):
        one = tmp_path / mode
        one.mkdir()
        photo(index, (8, 8)).convert(mode).save(one / ("a.tiff" if mode == "CMYK" else "a.png"))
        assert open_source(str(one)).sample_shape == (3, 8, 8)


def test_orientation_in_the_exif_data_is_respected(tmp_path):
    picture = photo(3, size=(8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    expected = as_tensor(picture.rotate(-90))
    assert torch.equal(open_source(str(tmp_path)).samples[0], expected)


def test_mixed_channel_counts_are_colour_unless_a_setting_says_otherwise(tmp_path):
    photo(0, (8, 8)).save(tmp_path / "a.png")
    photo(1, (8, 8), "L").save(tmp_path / "b.png")
    assert open_source(str(tmp_path), channels=1).sample_shape == (1, 8, 8)
    both = open_source(str(tmp_path)).samples
    assert both.shape == (2, 3, 8, 8)
    assert torch.equal(both[1, 0], both[1, 2])
