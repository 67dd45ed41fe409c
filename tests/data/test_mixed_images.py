"""Folders as people have them: grey beside colour, opacity, 16 bits, CMYK, damaged files."""

import io
import itertools
import logging
import random
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.pictures import as_tensor, encoded, photo
from sngan.data import open_source

RAMP = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)


def put(root: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return str(root)


def as_zip(root: Path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(root / "all.zip")


def coded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(values: np.ndarray, colour_type: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow itself cannot write in colour."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


KINDS = {
    "colour": lambda: encoded(photo(1, (8, 8))),
    "jpeg": lambda: coded(photo(2, (8, 8)), "JPEG"),
    "cmyk": lambda: coded(photo(3, (8, 8), "CMYK"), "JPEG"),
    "palette": lambda: encoded(photo(4, (8, 8)).quantize(16)),
    "webp": lambda: coded(photo(5, (8, 8)), "WEBP"),
    "opacity": lambda: encoded(photo(6, (8, 8), "RGBA")),
    "deep colour": lambda: deep_png(np.repeat(RAMP[..., None], 3, 2), 2),
    "grey": lambda: encoded(photo(7, (8, 8), "L")),
    "grey with opacity": lambda: encoded(photo(8, (8, 8), "LA")),
    "deep grey": lambda: encoded(Image.fromarray(RAMP)),
    "one bit": lambda: encoded(photo(9, (8, 8), "1")),
}
GREY = {"grey", "grey with opacity", "deep grey", "one bit"}


@pytest.mark.parametrize("store", [put, as_zip])
@pytest.mark.parametrize("pair", list(itertools.combinations(KINDS, 2)))
def test_any_two_kinds_are_colour_if_one_is(tmp_path, caplog, store, pair):
    """The order in the folder does not matter, and a line says how many images are grey."""
    shuffled = random.Random(str(pair)).sample(pair, 2)
    files = {f"{i}.img": KINDS[kind]() for i, kind in enumerate(shuffled)}
    with caplog.at_level(logging.WARNING, logger="sngan"):
        found = open_source(store(tmp_path, files), cache="memory")
    grey = sum(kind in GREY for kind in pair)
    assert found.sample_shape == (1 if grey == 2 else 3, 8, 8)
    assert not found.skipped
    assert caplog.text.count("1 of 2 images is grey and is read as colour") == (grey == 1)


def test_a_colour_image_that_the_sample_misses(tmp_path, caplog):
    """64 images decide, and the one in colour comes to light when all are decoded."""
    files = {f"{i:03}.png": encoded(photo(i, (8, 8), "L")) for i in range(200)}
    files["101.png"] = encoded(photo(101, (8, 8)))
    with caplog.at_level(logging.WARNING, logger="sngan"):
        found = open_source(put(tmp_path, files), cache="memory")
    assert found.sample_shape == (3, 8, 8)
    assert torch.equal(found.samples[101], as_tensor(photo(101, (8, 8))))
    assert "199 of 200 images are grey" in caplog.text


def test_damaged_files_are_counted_and_the_line_is_repeated_from_the_cache(tmp_path, caplog):
    files = {f"{i}.png": KINDS[kind]() for i, kind in enumerate(KINDS)}
    files |= {"x.png": b"\x89PNG\r\n\x1a\n", "y.jpg": files["1.png"][:40], "z.png": b""}
    source = put(tmp_path / "data", files)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="sngan"):
            found = open_source(source, cache="disk", cache_dir=tmp_path / "cache")
        assert (len(found), len(found.skipped)) == (len(KINDS), 3)
        assert f"{len(GREY)} of {len(KINDS)} images are grey" in caplog.text


@pytest.mark.parametrize(
    ("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)], ids=["L", "RGB", "LA", "RGBA"]
)
def test_sixteen_bits_are_scaled_as_the_closed_form_says(tmp_path, colour_type, channels):
    """A value v of 65,535 becomes v/257 of 255, rounded down or up."""
    values = np.random.default_rng(0).integers(0, 65536, (8, 8, channels), dtype=np.uint16)
    values.flat[:4] = 0, 65535, 255, 257
    has_opacity = channels in (2, 4)
    if has_opacity:
        values[..., -1] = 65535
    found = open_source(put(tmp_path, {"a.png": deep_png(values, colour_type)}))
    expected = values[..., : channels - has_opacity].transpose(2, 0, 1) / 257.0
    assert np.abs(found.samples[0].numpy() - expected).max() <= 1
    for level, place in ((0, 0), (255, 1)):
        assert found.samples[0].flatten()[place] == level or channels > 1


def test_transparency_is_composed_on_the_background(tmp_path):
    """Half opaque red on blue: half of each, by the formula of alpha compositing."""
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    found = open_source(put(tmp_path, {"a.png": encoded(clear)}), background="#0000ff")
    expected = torch.tensor([255 * 128 / 255, 0, 255 * 127 / 255])
    assert (found.samples[0].float().mean((1, 2)) - expected).abs().max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_four_channels_keep_the_opacity(tmp_path, kind):
    data = KINDS[kind]()
    found = open_source(put(tmp_path, {"a.img": data}), channels=4)
    assert found.sample_shape == (4, 8, 8)
    with Image.open(io.BytesIO(data)) as image:
        alpha = image.convert("RGBA").getchannel("A") if "A" in image.mode else None
    expected = torch.full((8, 8), 255).byte() if alpha is None else as_tensor(alpha)[0]
    assert torch.equal(found.samples[0, 3], expected)


def test_resizing_does_not_mix_in_the_colour_of_transparent_pixels(tmp_path):
    """Left half: opaque red. Right half: transparent, with a green that nobody sees."""
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 255))
    image.paste((0, 255, 0, 0), (16, 0, 32, 32))
    red, green, blue, alpha = open_source(
        put(tmp_path, {"a.png": encoded(image)}), channels=4, resolution=12
    ).samples[0]
    seen = alpha > 8
    assert (red[seen] >= 254).all()
    assert (green[seen] <= 1).all()
    assert (blue == 0).all()
    assert abs(float(alpha.float().mean()) - 127.5) < 2


def test_arrays_with_opacity(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 4), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    kept = open_source(str(tmp_path / "a.npy"), channels=4).samples
    assert np.array_equal(kept.numpy(), pixels.transpose(0, 3, 1, 2))
    opaque = open_source(str(tmp_path / "a.npy"), background="black").samples.float().numpy()
    expected = pixels[..., :3].astype(float) * pixels[..., 3:] / 255
    assert np.abs(opaque - expected.transpose(0, 3, 1, 2)).max() <= 0.51
