"""Files of labels: the label of each image file in a CSV, TSV, JSON or JSON-lines file."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from sngan.data import legacy
from sngan.data.errors import short_reason
from sngan.data.images.formats import suffix
from sngan.data.labels.encoding import Labels, encode, label_text
from sngan.data.labels.names import Names
from sngan.data.types import READING
from sngan.utils.checks import require
from sngan.utils.plain import parse_json
from sngan.utils.text import printable

_LARGEST_FILE = 2**30
_FILE_COLUMNS = (
    *("file_name", "filename", "file", "path", "image", "img", "image_path", "image_id"),
    *("image_name", "name", "id"),
)
_CLASS_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "species", "y")


def read_label_file(
    path: Path, data: bytes | None = None, *, version: int = READING
) -> dict[str, str]:
    """Read the label of each image file from a CSV, TSV, JSON or JSON-lines file.

    A CSV file has a header with a column of names (``file_name``, ``image``, ``id`` …) and one of
    labels (``label``, ``class`` …), or it has two columns and no header. A JSON file holds
    ``{name: label}``, ``{"labels": [[name, label], …]}``, or records like the rows of a CSV file.
    A label in JSON may be a list with a single 1 (one-hot), whose place is the class.

    Parameters
    ----------
    path
        The file.
    data
        Its bytes; ``None`` reads them.
    version
        The version of the rules, see :data:`sngan.data.READING`; up to 3, lists are no labels.

    Raises
    ------
    ValueError
        If the file cannot be read, has no such columns, is JSON that names a file twice, or has a
        list as a label that is not one-hot.
    """
    shown = printable(str(path))
    try:
        if data is None:
            if path.stat().st_size >= _LARGEST_FILE:
                raise ValueError("over 1 GiB")
            data = path.read_bytes()
        text = data.decode("utf-8-sig")
        if suffix(path.name) in ("json", "jsonl"):
            lists = version > 3
            found = _of_json(text, lines=suffix(path.name) == "jsonl", takes_lists=lists)
        else:
            found = _of_csv(text)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        expected = f"a CSV or JSON file of labels, or none or folders; {shown}"
        raise ValueError(f"data.labels: expected {expected}, got {short_reason(error)}") from error
    expected = f"names and labels in {shown} (none reads images without labels)"
    require(bool(found), "data.labels", expected=expected, got="none")
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


def _of_json(text: str, *, lines: bool, takes_lists: bool) -> dict[str, str]:
    value: Any = (
        [json.loads(line) for line in text.splitlines() if line.strip()]
        if lines
        else parse_json(text)
    )
    if isinstance(value, Mapping):
        listed: Any = cast(Mapping[str, Any], value).get("labels", value)
        value = listed if isinstance(listed, list | Mapping) else value
    if isinstance(value, Mapping):
        pairs = list(cast(Mapping[str, Any], value).items())
    elif isinstance(value, list) and value and isinstance(value[0], list):
        pairs = [(pair[0], pair[1]) for pair in cast(list[Any], value) if len(pair) == 2]
    else:
        records = cast(list[Any], value) if isinstance(value, list) else []
        return _of_records(records, takes_lists=takes_lists)
    if takes_lists:
        pairs = [(name, _without_list(label)) for name, label in pairs]
    return {str(name): _plain_text(label) for name, label in pairs if _is_plain(label)}


def _of_records(records: Sequence[Any], *, takes_lists: bool = False) -> dict[str, str]:
    rows = [
        {str(key).strip().lower(): value for key, value in cast(Mapping[Any, Any], row).items()}
        for row in records
        if isinstance(row, Mapping)
    ]
    file = next((name for name in _FILE_COLUMNS if rows and name in rows[0]), None)
    label = next((name for name in _CLASS_COLUMNS if rows and name in rows[0]), None)
    if file is None or label is None:
        return {}
    if takes_lists:
        rows = [row | {label: _without_list(row.get(label))} for row in rows]
    return {
        str(row[file]).strip(): _plain_text(row[label])
        for row in rows
        if _is_plain(row.get(label)) and row.get(file)
    }


def _without_list(label: object) -> object:
    """Return the class of a one-hot list, and any other label as it is."""
    if not isinstance(label, list):
        return label
    row = cast(list[Any], label)
    if row.count(1) != 1 or row.count(0) != len(row) - 1:
        raise ValueError(f"the label {str(row)[:60]}, which is no list with a single 1")
    return row.index(1)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)


def _plain_text(value: object) -> str:
    return label_text(value).strip() if not isinstance(value, bool) else str(int(value))


def labels_of_files(
    names: Sequence[str], labels: Mapping[str, str], path: str, *, version: int = READING
) -> Labels:
    """Look up the labels of files by their paths, with or without the ending of the name.

    Parameters
    ----------
    names
        The paths of the files.
    labels
        The label of each name in the file of labels.
    path
        The file of labels, for errors.
    version
        The version of the rules, see :data:`sngan.data.READING`.

    Raises
    ------
    ValueError
        If no file has a label.
    """
    find = Names(labels, names) if version > 2 else legacy.names_of_labels(labels)
    found = np.array([find(name) for name in names])
    some = bool((found != "").any())
    expected = f"labels of the images in {printable(path)}"
    require(
        some, "data.labels", expected=expected, got=f"those of {printable(next(iter(labels)))}, …"
    )
    numbers = [text for text in found.tolist() if text]
    if all(_is_index(text) for text in numbers):
        found = np.array([int(text) if text else -1 for text in found.tolist()])
    return encode(found, printable(path))


def _is_index(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 19
