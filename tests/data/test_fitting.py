"""Images of any shape: crop, pad and stretch against Pillow, rectangles, and the lost share."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.pictures import as_tensor, photo
from sngan.config import DataConfig
from sngan.data import open_source
from sngan.data.images.placement import lost_share, parse_resolution, placement

BICUBIC = Image.Resampling.BICUBIC
SIDES = st.integers(1, 200)
SIZES = st.tuples(SIDES, SIDES)


def saved(folder, *sizes: tuple[int, int], mode: str = "RGB") -> str:
    for index, size in enumerate(sizes):
        photo(index, size).convert(mode).save(folder / f"{index}.png")
    return str(folder)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("target", [(16, 16), (16, 48), (48, 16), (32, 20)])
@pytest.mark.parametrize("size", [(96, 32), (32, 96), (50, 50), (17, 61)])
def test_each_way_is_that_of_pillow(tmp_path, size, target, mode):
    height, width = target
    wide, high = size
    source, picture = saved(tmp_path, size, mode=mode), photo(0, size).convert(mode)
    options = {"resolution": target, "background": "#102030", "cache": "memory"}

    def read(fit: str) -> torch.Tensor:
        return open_source(source, fit=fit, **options).samples[0].int()

    stretched = as_tensor(picture.resize((width, height), BICUBIC))
    assert (read("stretch") - stretched.int()).abs().max() <= 2
    # the largest part of the target's shape
    scale = min(wide / width, high / height)
    part = round(width * scale), round(height * scale)
    left, top = (wide - part[0]) // 2, (high - part[1]) // 2
    cut = picture.crop((left, top, left + part[0], top + part[1])).resize((width, height), BICUBIC)
    assert (read("crop") - as_tensor(cut).int()).abs().max() <= 2
    # the whole image, with the background around it
    scale = min(width / wide, height / high)
    inner = max(int(wide * scale + 0.5), 1), max(int(high * scale + 0.5), 1)
    whole = Image.new("RGB", (width, height), "#102030").convert(mode)
    whole.paste(picture.resize(inner, BICUBIC), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    assert (read("pad") - as_tensor(whole).int()).abs().max() <= 2


@given(SIZES, SIZES)
def test_placements(image, target):
    """A crop fills the target from inside the image, padding shows the whole image inside it."""
    part, size = placement(image, target, "crop")
    assert size == target
    assert all(1 <= own <= most for own, most in zip(part, image, strict=True))
    assert part[0] == image[0] or part[1] == image[1]
    kept = part[0] * part[1] / (image[0] * image[1])
    # rounding to whole pixels moves a side by at most half a pixel, or up to one pixel
    slack = 1 / min(image)
    assert abs((1 - kept) - lost_share(image, target, "crop")) <= slack
    part, size = placement(image, target, "pad")
    assert part == image
    assert all(1 <= own <= most for own, most in zip(size, target, strict=True))
    assert size[0] == target[0] or size[1] == target[1]
    assert placement(image, target, "stretch") == (image, target)


@pytest.mark.slow
def test_a_large_image_is_fitted_like_a_small_one(tmp_path):
    """Over 2^24 pixels an image is reduced in strips."""
    large = np.zeros((2048, 8300, 3), np.uint8)
    large[:, :4150] = 200
    large[:1024] += 50
    Image.fromarray(large).save(tmp_path / "a.png", compress_level=1)
    small = Image.fromarray(large).resize((64, 16), Image.Resampling.BOX)
    for fit, resolution in (("stretch", (16, 64)), ("crop", (16, 64)), ("pad", (32, 64))):
        found = open_source(str(tmp_path), fit=fit, resolution=resolution).samples[0].int()
        middle = found[:, 8:24] if fit == "pad" else found
        assert (middle - as_tensor(small).int()).abs().float().mean() < 4


def test_a_photo_that_exif_turns_is_a_rectangle_of_the_other_shape(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(0, (900, 300)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = open_source(str(tmp_path), resolution="96x32").samples[0]
    turned = photo(0, (900, 300)).rotate(-90, expand=True).resize((32, 96), BICUBIC)
    assert (found.int() - as_tensor(turned).int()).abs().float().mean() < 3


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"resolution": 32}, "loses 33% of an image's area on average, 67% at worst"),
        ({"resolution": "32x96"}, "loses 33% of an image's area on average, 67% at worst"),
        ({"resolution": 32, "fit": "pad"}, None),
        ({"resolution": 32, "fit": "stretch"}, None),
    ],
)
def test_a_line_says_what_the_crop_loses(tmp_path, caplog, options, line):
    """A 96×32 image loses two thirds in a square, and a square two thirds in a 32×96 one."""
    with caplog.at_level(logging.WARNING, logger="sngan"):
        open_source(saved(tmp_path, (96, 32), (32, 32)), **options)
    assert ("loses" in caplog.text) == (line is not None)
    assert line is None or line in caplog.text


def test_a_small_loss_is_not_worth_a_line(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="sngan"):
        open_source(saved(tmp_path, (33, 32)), resolution=32)
    assert not caplog.text


@pytest.mark.parametrize("value", ["32x96", "32X96", " 32 × 96 ", (32, 96), [32, 96], "[32, 96]"])
def test_spellings_of_a_rectangle(value):
    assert parse_resolution(value) == (32, 96)
    assert DataConfig(resolution=value).resolution == "32x96"


@pytest.mark.parametrize("value", [32, "32", "32x32", (32, 32)])
def test_spellings_of_a_square(value):
    assert DataConfig(resolution=value).resolution == 32


@pytest.mark.parametrize("value", ["", "x", "32x", "3x8x9", "-4x8", 3, "3x96", True, 2.5, (8,) * 3])
def test_what_is_no_resolution(value):
    with pytest.raises(ValueError, match=r"^data.resolution: expected an integer"):
        DataConfig(resolution=value)


def test_another_fit_is_another_cache(tmp_path):
    source = saved(tmp_path, (96, 32))
    options = {"resolution": 32, "cache": "disk", "cache_dir": tmp_path / "cache"}
    crop, pad = (open_source(source, fit=fit, **options).samples for fit in ("crop", "pad"))
    assert not torch.equal(crop, pad)
    assert torch.equal(open_source(source, **options).samples, crop)
