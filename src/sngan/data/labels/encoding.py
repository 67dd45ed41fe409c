"""Labels of any kind as classes 0, 1, 2 …, and files of labels."""

import csv
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from sngan.data.errors import reason
from sngan.data.images.formats import suffix
from sngan.data.types import Encoded, Item
from sngan.utils.checks import require
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
_MOST_CLASSES = 2**20
_LARGEST_FILE = 2**30
_FILE_COLUMNS = (
    *("file_name", "filename", "file", "path", "image", "img", "image_path", "image_id"),
    *("image_name", "name", "id"),
)
_CLASS_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "species", "y")


class Labels(NamedTuple):
    """Classes int64 ``(N,)``, −1 where there is none, and their names."""

    classes: NDArray[np.int64]
    names: tuple[str, ...]


def encode(values: NDArray[Any], name: str) -> Labels:
    """Number the distinct labels: whole numbers, text, or rows with a single 1 (one-hot).

    Small numbers from 0 on, of which at least half occur, stay as they are. Missing are −1, nan,
    empty text.

    Raises
    ------
    ValueError
        Fractions, or no shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, K)``.
    """
    values = _flat(np.asarray(values), name)
    missing = _missing(values)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (np.floor(values) == values)
        bad = values[~whole & ~missing]
        expected = f"whole numbers or text as labels in {name}"
        require(not len(bad), "data", expected=expected, got=f"{bad[:1].tolist()}")
    known = values[~missing]
    distinct, positions = np.unique(known, return_inverse=True)
    classes = np.full(len(values), -1, np.int64)
    if _are_indices(distinct):
        classes[~missing] = known.astype(np.int64)
        names = tuple(map(str, range(int(distinct[-1]) + 1)))
    else:
        few = len(distinct) <= _MOST_CLASSES
        require(few, "data", expected=f"at most {_MOST_CLASSES} labels", got=len(distinct))
        classes[~missing] = positions.reshape(-1)
        names = tuple(printable(_text(value)) for value in distinct.tolist())
    if len(names) > max(len(known) // 2, 100):
        _log.warning("%s: %d samples have %d labels", name, len(known), len(names))
    return Labels(classes, names)


def _flat(values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    is_column = values.ndim == 2 and values.shape[1] == 1
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "iuf":
        one_hot = bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all())
        expected = f"one label a sample in {name}, or rows with a single 1"
        require(one_hot, "data", expected=expected, got=f"shape {values.shape}")
        return values.argmax(1)
    usable = (values.ndim == 1 or is_column) and values.dtype.kind in "iufUS"
    expected = f"labels (N,) of whole numbers or text in {name}"
    require(usable, "data", expected=expected, got=f"{values.dtype} {values.shape}")
    return values.reshape(-1)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.isnan(values) | (values == -1)
    return values == (values.dtype.type() if values.dtype.kind in "US" else -1)


def _are_indices(distinct: NDArray[Any]) -> bool:
    is_number = distinct.dtype.kind in "iuf" and len(distinct) > 0
    return is_number and distinct[0] >= 0 and distinct[-1] < 2 * len(distinct)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)  # pyright: ignore[reportArgumentType]


def present(classes: NDArray[np.int64], names: tuple[str, ...]) -> Labels:
    """Without the classes that have no sample: a generator would never learn them."""
    found = np.unique(classes[classes >= 0])
    if len(found) == len(names):
        return Labels(classes, names)
    numbers = np.full(len(names) + 1, -1, np.int64)
    numbers[found] = np.arange(len(found))
    return Labels(numbers[classes], tuple(names[index] for index in found.tolist()))


def settled(encoded: Encoded, missing: int) -> Encoded:
    """Images of which some have no label: few of them are left out, or no label is used."""
    if not missing:
        return encoded
    labelled = encoded.total - missing
    use_labels = labelled > missing
    if labelled:
        _log.warning("%s: %s", printable(encoded.name), remark_of_missing(labelled, missing))

    def blocks() -> Iterator[list[Item]]:
        for block in encoded.blocks():
            if use_labels:
                yield [item for item in block if item.label >= 0]
            else:
                yield [item._replace(label=-1) for item in block]

    names = encoded.class_names if use_labels else ()
    total = labelled if use_labels else encoded.total
    return replace(encoded, blocks=blocks, total=total, class_names=names, some=None)


def kept(classes: NDArray[np.int64], name: str) -> NDArray[np.bool_]:
    """Which samples are read where some have no label: all but those few, or all."""
    known = classes >= 0
    labelled = int(known.sum())
    missing = len(known) - labelled
    if labelled <= missing or not missing:
        return np.ones(len(classes), bool)
    _log.warning("%s: %s", name, remark_of_missing(labelled, missing))
    return known


def remark_of_missing(labelled: int, missing: int) -> str:
    """A line that says how samples without a label are read."""
    if labelled > missing:
        return (
            f"{missing} samples have no label and are left out (data.labels=none reads all, "
            "without labels)"
        )
    return f"{missing} samples have no label, so that none is used"


def read_file(path: Path, data: bytes | None = None) -> dict[str, str]:
    """The label of each file in a CSV, TSV, JSON or JSON-lines file.

    CSV: a header with a column of names (``file_name``, ``image``, ``id`` …) and one of labels
    (``label``, ``class`` …), or two columns without a header. JSON: ``{name: label}``,
    ``{"labels": [[name, label], …]}``, or records as the rows of a CSV.

    Raises
    ------
    ValueError
        If it cannot be read, or has no such columns.
    """
    shown = printable(str(path))
    try:
        if data is None:
            require(
                path.stat().st_size < _LARGEST_FILE,
                "data.labels",
                expected="under 1 GiB",
                got=shown,
            )
            data = path.read_bytes()
        text = data.decode("utf-8-sig")
        if suffix(path.name) in ("json", "jsonl"):
            found = _of_json(text, lines=suffix(path.name) == "jsonl")
        else:
            found = _of_csv(text)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError, RecursionError) as error:
        expected = f"a CSV or JSON file of labels, or none or folders; {shown}"
        raise ValueError(f"data.labels: expected {expected}, got {reason(error)}") from error
    require(bool(found), "data.labels", expected=f"names and labels in {shown}", got="none")
    return found


def _of_csv(text: str) -> dict[str, str]:
    lines = text.splitlines()
    delimiter = "\t" if lines and "\t" in lines[0] else ";" if lines and ";" in lines[0] else ","
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if not rows:
        return {}
    header = [cell.strip().lower() for cell in rows[0]]
    if any(name in header for name in _CLASS_COLUMNS):
        return _of_records([dict(zip(header, row, strict=False)) for row in rows[1:]])
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}


def _of_json(text: str, *, lines: bool) -> dict[str, str]:
    value: Any = (
        [json.loads(line) for line in text.splitlines() if line.strip()]
        if lines
        else json.loads(text)
    )
    if isinstance(value, Mapping):
        listed: Any = cast(Mapping[str, Any], value).get("labels", value)
        value = listed if isinstance(listed, list | Mapping) else value
    if isinstance(value, Mapping):
        pairs = list(cast(Mapping[str, Any], value).items())
    elif isinstance(value, list) and value and isinstance(value[0], list):
        pairs = [(pair[0], pair[1]) for pair in cast(list[Any], value) if len(pair) == 2]
    else:
        return _of_records(cast(list[Any], value) if isinstance(value, list) else [])
    return {str(name): _label_text(label) for name, label in pairs if _is_plain(label)}


def _of_records(records: Sequence[Any]) -> dict[str, str]:
    rows = [
        {str(key).strip().lower(): value for key, value in cast(Mapping[Any, Any], row).items()}
        for row in records
        if isinstance(row, Mapping)
    ]
    file = next((name for name in _FILE_COLUMNS if rows and name in rows[0]), None)
    label = next((name for name in _CLASS_COLUMNS if rows and name in rows[0]), None)
    if file is None or label is None:
        return {}
    return {
        str(row[file]).strip(): _label_text(row[label])
        for row in rows
        if _is_plain(row.get(label)) and row.get(file)
    }


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)


def _label_text(value: object) -> str:
    return _text(value).strip() if not isinstance(value, bool) else str(int(value))


def of_names(names: Sequence[str], labels: Mapping[str, str], path: str) -> Labels:
    """The classes of files by their paths, else by their own names, else without the suffix.

    Raises
    ------
    ValueError
        If no file has a label.
    """
    paths, last_names, stems = dict[str, str](), dict[str, str](), dict[str, str]()
    for name, label in labels.items():
        full = name.replace("\\", "/").removeprefix("./")
        last = full.rpartition("/")[2]
        for key, table in ((full, paths), (last, last_names), (_stem(last), stems)):
            # one name with two labels tells nothing
            table[key] = label if table.get(key, label) == label else ""

    def label_of(name: str) -> str:
        parts = name.split("/")
        below = (paths.get("/".join(parts[start:])) for start in range(len(parts)))
        found = next((label for label in below if label), "")
        return found or last_names.get(parts[-1]) or stems.get(_stem(parts[-1])) or ""

    found = np.array([label_of(name) for name in names])
    some = bool((found != "").any())
    expected = f"labels of the images in {printable(path)}"
    require(
        some, "data.labels", expected=expected, got=f"those of {printable(next(iter(labels)))}, …"
    )
    numbers = [text for text in found.tolist() if text]
    if all(_is_index(text) for text in numbers):
        found = np.array([int(text) if text else -1 for text in found.tolist()])
    return encode(found, printable(path))


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _is_index(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 19
