"""Plotting: files are written whole, in the format of their suffix."""

import io

import pytest
from PIL import Image

from sngan.utils.plotting import PALETTE, colour, new_figure, rendered, save_figure, save_image

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_gives_the_format(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_figure(new_figure(1, 1), path)
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_without_a_suffix_becomes_a_png_as_in_matplotlib(tmp_path):
    save_figure(new_figure(1, 1), str(tmp_path / "a"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("dpi", "pixels"), [(None, 100), (50, 50)])
def test_the_resolution(dpi, pixels):
    file = io.BytesIO()
    save_figure(new_figure(1, 2), file, dpi=dpi)
    with Image.open(file) as picture:
        assert picture.size == (pixels, 2 * pixels)


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        save_figure(new_figure(1, 1), path, dpi="x")
    with pytest.raises(ValueError, match="unknown"):
        save_figure(new_figure(1, 1), tmp_path / "a.unknown")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]


def test_an_image_is_read_as_it_was_saved(tmp_path):
    picture = rendered(new_figure(1, 1))
    save_image(picture, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.tobytes() == picture.tobytes()


def test_colours_repeat_after_the_last():
    assert [colour(index) for index in range(len(PALETTE) + 2)] == [*PALETTE, *PALETTE[:2]]
