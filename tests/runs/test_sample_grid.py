"""Pictures of samples: the right pixel in the right place, written whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sngan.runs import sample_grid as pictures

pytestmark = pytest.mark.usefixtures("real_pictures")


def test_to_uint8_rounds_and_cuts():
    values = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
    assert pictures.to_uint8(values).tolist() == [0, 0, 128, 191, 255, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_each_image_in_its_place(channels):
    images = torch.zeros(5, channels, 4, 4, dtype=torch.uint8)
    for index in range(5):
        images[index] = 20 * index + 5
        images[index, :, 0, 3] = 255
    grid = pictures.image_grid(images, columns=2)
    pixels = np.asarray(grid)
    scale = pictures._GRID_PIXELS // (2 * 5)
    gap = scale
    for index in range(5):
        top = gap + index // 2 * (4 * scale + gap)
        left = gap + index % 2 * (4 * scale + gap)
        tile = pixels[top : top + 4 * scale, left : left + 4 * scale].reshape(
            4 * scale, 4 * scale, -1
        )
        assert (tile[:scale, 3 * scale :] == 255).all()
        assert (tile[scale:] == 20 * index + 5).all()
    assert (pixels[:gap] == 128).all()
    assert grid.mode == ("L" if channels == 1 else "RGB")


def test_large_images_are_not_enlarged():
    grid = pictures.image_grid(torch.zeros(4, 3, 300, 300, dtype=torch.uint8))
    assert grid.size == (603, 603)


def test_grid_refuses_what_is_no_image():
    with pytest.raises(ValueError, match="images: expected uint8"):
        pictures.image_grid(torch.zeros(4, 3, 8, 8))


def test_scatter_draws_samples_where_they_are():
    points = torch.tensor([[0.9, 0.9]]).repeat(500, 1)
    pixels = np.asarray(pictures.scatter(points).convert("RGB")).astype(int)
    orange = (abs(pixels - np.array([0xC2, 0x41, 0x0C])).sum(2) < 60).nonzero()
    assert len(orange[0]) > 0
    rows, columns = orange
    below_legend = rows > 0.12 * len(pixels)
    assert columns[below_legend].min() > 0.75 * pixels.shape[1]
    assert rows[below_legend].max() < 0.35 * pixels.shape[0]


def half_encoded(image, file, format):
    file.write(b"half")
    raise OSError("disk full")


def half_written(path, data):
    with path.open("wb") as file:
        file.write(data[:100])
    raise OSError("disk full")


@pytest.mark.parametrize(
    ("owner", "name", "failing"),
    [(Image.Image, "save", half_encoded), (Path, "write_bytes", half_written)],
    ids=["encoding", "writing"],
)
def test_save_is_atomic(tmp_path, monkeypatch, owner, name, failing):
    path = tmp_path / "a.png"
    pictures.save_samples(torch.zeros(4, 1, 8, 8), path)
    before = path.read_bytes()
    monkeypatch.setattr(owner, name, failing)
    with pytest.raises(OSError, match="disk full"):
        pictures.save_samples(torch.ones(4, 1, 8, 8), path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_grid_of_rectangles_with_opacity():
    images = torch.zeros(5, 4, 8, 24)
    images[:, 3] = torch.linspace(-1, 1, 5)[:, None, None]
    grid = np.asarray(pictures.image_grid(pictures.to_uint8(images), columns=2))
    # each pixel is enlarged to a square of 512 // (2 · 25) = 10 pixels, and so are the gaps
    assert grid.shape == (3 * 90 + 10, 2 * 250 + 10, 4)
    middles = [grid[10 + 90 * (i // 2) + 40, 10 + 250 * (i % 2) + 120, 3] for i in range(5)]
    assert middles == [0, 64, 128, 191, 255]
    assert (grid[5, :, 3] == 255).all()
