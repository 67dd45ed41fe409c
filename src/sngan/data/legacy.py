"""Legacy reading: runs that began with an earlier version continue with the same pixels and labels.

A run of version 1 keeps ``data.reading: 1``, and the functions here read its files. Version 2 reads
more layouts and more ranges of values. Version 3 also finds the labels in ``dataset.json`` by
itself, and matches names of files more strictly; of version 2 there is only
:func:`names_of_labels` here. Version 4 also reads one-hot labels in JSON, and the transparent
colour of PNGs of all depths. Version 5, the current one, leaves out only few files beside class
folders, and reads ``Training Set`` beside ``test`` as splits.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sngan.data.sources.parquet_columns import Columns, class_names
from sngan.utils.checks import require

if TYPE_CHECKING:
    from PIL.Image import Image

HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff")


def class_folders(names: list[str]) -> list[str]:
    """Return the class folder of each file; none if some files lie in no folder, or all in one."""
    parts = [name.split("/") for name in names]
    while all(len(part) > 1 for part in parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    return [part[0] for part in parts] if all(len(part) > 1 for part in parts) else []


def eight_bits(image: "Image") -> "Image":
    """Divide integers of more than 8 bits by 257, as if all had 16 bits.

    Floats are left to Pillow, which clips them to 0 … 255.
    """
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))


def pixels_of(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Scale an array to 0 … 255: floats in [0, 1], or [−1, 1] if one is negative.

    Integers keep their values.

    Raises
    ------
    ValueError
        If floats are outside [−1, 1], or integers outside 0 … 255.
    """
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


def array_names(names: list[str]) -> tuple[str, str | None]:
    """Return the names of the arrays of samples and of labels.

    The samples are the array with the first usual name, or else the first array.
    """
    usual = ("samples", "images", "x", "x_train", "data", "arr_0")
    samples = next((name for name in usual if name in names), names[0])
    usual_labels = ("labels", "label", "y", "y_train", "arr_1")
    labels = next((name for name in usual_labels if name in names), None)
    return samples, None if labels == samples else labels


def names_of_labels(labels: Mapping[str, str]) -> Callable[[str], str]:
    """Return the look-up of versions 1 and 2: by path, or else by the last part of the name."""
    paths, last_names, stems = dict[str, str](), dict[str, str](), dict[str, str]()
    for name, label in labels.items():
        full = name.replace("\\", "/").removeprefix("./")
        last = full.rpartition("/")[2]
        for key, table in ((full, paths), (last, last_names), (_stem(last), stems)):
            table[key] = label if table.get(key, label) == label else ""

    def label_of(name: str) -> str:
        parts = name.split("/")
        below = (paths.get("/".join(parts[start:])) for start in range(len(parts)))
        found = next((label for label in below if label), "")
        return found or last_names.get(parts[-1]) or stems.get(_stem(parts[-1])) or ""

    return label_of


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def integer_labels(given: NDArray[Any]) -> NDArray[np.int64]:
    """Convert labels of any type to integers."""
    return np.asarray(given).astype(np.int64).reshape(-1)


def files_of_split(files: list[Path], root: Path, asked: str) -> list[Path]:
    """Return the files of a split, whose names begin with the split and a dash.

    Parameters
    ----------
    files
        All files.
    root
        The file or folder that the user named.
    asked
        The split.

    Raises
    ------
    ValueError
        If there are splits, and ``asked`` is not among them.
    """
    splits = {file.name.partition("-")[0] for file in files if "-" in file.name}
    if files == [root] or not splits:
        return files
    require(asked in splits, "data.split", expected=f"one of {sorted(splits)}", got=repr(asked))
    return [file for file in files if file.name.startswith(f"{asked}-")]


def table_columns(schema: Any, where: str) -> Columns:
    """Choose the columns of images and labels.

    The images are the first column of structs with bytes, or else the first column of bytes. The
    labels are the first column of integers whose name contains "label" or "class".

    Raises
    ------
    ValueError
        If no column can hold images.
    """
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
