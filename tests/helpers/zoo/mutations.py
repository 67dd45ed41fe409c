"""Small valid files of each format, and random damage to them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from helpers.zoo import arrays, pixels, shards, tables, zips
from helpers.zoo.case import array_image, coded, image, put_all
from helpers.zoo.folders import pets


def _images(kind: str, suffix: str) -> Callable[[Path], tuple[Path, str]]:
    def make(root: Path) -> tuple[Path, str]:
        put_all(root, {"good.png": 7, f"bad.{suffix}": coded(image(9), kind)})
        return root / f"bad.{suffix}", str(root)

    return make


def _deep(root: Path) -> tuple[Path, str]:
    put_all(root, {"bad.tif": array_image((pixels.RAMP * 4095).astype(np.uint16), "TIFF")})
    return root / "bad.tif", str(root)


def _zip(root: Path) -> tuple[Path, str]:
    source = zips.put_zip(root, pets())
    return Path(source), source


def _npz(root: Path) -> tuple[Path, str]:
    source = arrays.npz(root, images=arrays.IMAGES, y=np.array([0, 1, 1, 0]))
    return Path(source), source


def _npy(root: Path) -> tuple[Path, str]:
    source = arrays.npy(root, arrays.POINTS)
    return Path(source), source


def _idx(suffix: str) -> Callable[[Path], tuple[Path, str]]:
    def make(root: Path) -> tuple[Path, str]:
        arrays.packed_beside_plain(root)
        kept = root / f"train-images-idx3-ubyte{suffix}"
        for path in root.iterdir():
            if path != kept and "images" in path.name:
                path.unlink()
        return kept, str(root)

    return make


def _parquet(root: Path) -> tuple[Path, str]:
    pq.write_table(tables.table(label=["cat", "dog", "dog", "cat"]), root / "a.parquet")
    return root / "a.parquet", str(root / "a.parquet")


def _arrow(root: Path) -> tuple[Path, str]:
    tables.saved_to_disk(root)
    return root / "data-00000-of-00001.arrow", str(root)


def _tar(root: Path) -> tuple[Path, str]:
    source = shards.put(root, shards.samples("json", *['{"label": "cat"}', '{"label": 3}'] * 2))
    return root / "a.tar", source


FORMATS: dict[str, Callable[[Path], tuple[Path, str]]] = {
    **{
        name: _images(*kinds)
        for name, kinds in {"png": ("PNG", "png"), "jpeg": ("JPEG", "jpg")}.items()
    },
    **{name: _images(name.upper(), name) for name in ("gif", "tiff", "webp", "bmp", "ppm", "tga")},
    "deep tiff": _deep,
    "zip": _zip,
    "npz": _npz,
    "npy": _npy,
    "idx": _idx(""),
    "idx.gz": _idx(".gz"),
    "parquet": _parquet,
    "arrow": _arrow,
    "tar": _tar,
}
STREAMED = ("parquet", "tar")


def damaged(content: bytes, seed: int) -> bytes:
    """Damage bytes some times: flip bits, overwrite, repeat, insert or cut."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(data) or 1))
        length = int(rng.choice([1, 2, 4, 8, 64]))
        kind = rng.integers(0, 6)
        if kind == 0 and data:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at : at + length] = bytes([int(rng.choice([0, 255, 127, 128]))]) * length
        elif kind == 2:
            data[at : at + length] = rng.bytes(length)
        elif kind == 3:
            data[at:at] = data[at : at + length] * int(rng.integers(1, 50))
        elif kind == 4:
            del data[at : at + length]
        else:
            del data[at:]
    return bytes(data)
