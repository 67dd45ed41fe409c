"""The first reading of files: a run that began with it goes on with it, pixel for pixel."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sngan.data.sources.parquet_columns import Columns, class_names
from sngan.utils.checks import require

if TYPE_CHECKING:
    from PIL.Image import Image

HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
IMAGES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff")


def classes_of(names: list[str]) -> list[str]:
    """The class folder of each file; none where files lie beside folders, or in one folder."""
    parts = [name.split("/") for name in names]
    while all(len(part) > 1 for part in parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    return [part[0] for part in parts] if all(len(part) > 1 for part in parts) else []


def eight_bits(image: "Image") -> "Image":
    """Integers of more than 8 bits are all taken for 16 bits; Pillow clips floats to 0 … 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))


def pixels_of(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Floats without a negative value are in [0, 1], others in [−1, 1]; integers in 0 … 255."""
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        known = low >= -1 and high <= 1
        expected = f"floats of {name} in [0, 1] or [-1, 1]"
        require(known, "data", expected=expected, got=f"[{low:g}, {high:g}]")
        scaled = array * 255 if low >= 0 else (array + 1) * 127.5
        return np.rint(scaled).astype(np.uint8)
    inside = low >= 0 and high <= 255
    require(inside, "data", expected=f"integers of {name} in 0 … 255", got=f"{low} … {high}")
    return array.astype(np.uint8)


def keys_of(names: list[str]) -> tuple[str, str | None]:
    """The keys of the samples and the labels: the first usual name, or else the first array."""
    usual = ("samples", "images", "x", "x_train", "data", "arr_0")
    key = next((name for name in usual if name in names), names[0])
    usual_labels = ("labels", "label", "y", "y_train", "arr_1")
    label_key = next((name for name in usual_labels if name in names), None)
    return key, None if label_key == key else label_key


def labels_of(given: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as integers, whatever they were."""
    return np.asarray(given).astype(np.int64).reshape(-1)


def of_split(files: list[Path], root: Path, asked: str) -> list[Path]:
    """The files of a split, which is all before the first dash of a name."""
    splits = {file.name.partition("-")[0] for file in files if "-" in file.name}
    if files == [root] or not splits:
        return files
    require(asked in splits, "data.split", expected=f"one of {sorted(splits)}", got=repr(asked))
    return [file for file in files if file.name.startswith(f"{asked}-")]


def columns_of(schema: Any, where: str) -> Columns:
    """The first struct of bytes, else the first bytes; the first integer of a class or label."""
    import pyarrow as pa

    structs = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    kinds = (pa.types.is_binary, pa.types.is_large_binary)
    plain = [field.name for field in schema if any(test(field.type) for test in kinds)]
    expected, got = f"a column of image bytes in {where}", ", ".join(schema.names)
    require(bool(structs or plain), "data", expected=expected, got=got)
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    likely = [name for name in integers if "label" in name or "class" in name]
    label = likely[0] if likely else None
    return Columns((structs or plain)[0], label, class_names(schema, label))
