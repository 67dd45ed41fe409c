"""The transparent colour of PNGs, of each depth: against the pixels that the file was made from."""

import struct
import zlib

import numpy as np
import pytest

from sngan.data import open_source

SHADE = 64


def written(values: np.ndarray, bits: int, colour: np.ndarray) -> bytes:
    """A PNG of integers ``(H, W, 1 or 3)`` with a transparent colour, by the PNG specification."""
    height, width, channels = values.shape
    places = np.arange(bits)[::-1]
    rows = [np.packbits((row.reshape(-1, 1) >> places & 1).astype(np.uint8)) for row in values]

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    kind = 0 if channels == 1 else 2
    parts = (
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)),
        chunk(b"tRNS", colour.astype(">u2").tobytes()),
        chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def drawn(bits: int, channels: int, seed: int):
    """Random values, of which the upper half has the transparent colour."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 2**bits, (8, 8, channels))
    if bits == 16:
        # black and white, so that the range of values is known
        values[7, 7], values[7, 6] = 0, 65535
    values[:4] = values[4, 0]
    return values, values[4, 0]


DEPTHS = [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("bits", "channels"), DEPTHS)
def test_pixels_of_the_transparent_colour_show_the_background(tmp_path, bits, channels, seed):
    values, colour = drawn(bits, channels, seed)
    (tmp_path / "a.png").write_bytes(written(values, bits, colour))
    scaled = values.transpose(2, 0, 1) * 255 / (2**bits - 1)
    clear = (values == colour).all(-1)
    found = open_source(str(tmp_path), background=f"#{SHADE:02x}{SHADE:02x}{SHADE:02x}")
    expected = np.where(clear, SHADE, scaled)
    assert np.abs(found.samples[0].numpy() - expected).max() <= 1
    opacity = open_source(str(tmp_path), channels=4).samples[0, 3].numpy()
    assert np.array_equal(opacity, np.where(clear, 0, 255))


def test_a_grey_of_16_bits_that_differs_in_its_last_bit_is_opaque(tmp_path):
    values, colour = drawn(16, 1, seed=5)
    values[0, 0] = colour ^ 1
    (tmp_path / "a.png").write_bytes(written(values, 16, colour))
    opacity = open_source(str(tmp_path), channels=4).samples[0, 3]
    assert opacity[0, 0] == 255
    assert (opacity[0, 1:] == 0).all()


def test_a_run_of_an_earlier_version_keeps_its_pixels(tmp_path):
    values, colour = drawn(16, 1, seed=0)
    (tmp_path / "a.png").write_bytes(written(values, 16, colour))
    found = open_source(str(tmp_path), background="black", reading=3).samples[0, 0].numpy()
    assert np.abs(found - values[..., 0] / 257).max() <= 1
