"""Parquet files in the layout of Hugging Face: a struct of image bytes, and a label."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan._checks import require
from sngan.data.chunks import Chunked, count_labels
from sngan.data.fingerprint import of_files
from sngan.data.types import Chunk, Encoded, Item

_BLOCK = 4096


def open_parquet(path: Path, *, split: str) -> Encoded:
    """A Parquet file, or those of a folder: of ``split``, where names begin with a split.

    Raises
    ------
    ValueError
        A file is damaged, has no column of images, or no file is of the split.
    """
    files = [_open(file) for file in _of_split(path, split)]
    schema = files[0].schema_arrow
    image, label = _image_column(schema, path), _label_column(schema)

    def blocks() -> Iterator[list[Item]]:
        row = 0
        for file in files:
            for batch in file.iter_batches(_BLOCK, columns=[image, *([label] if label else [])]):
                images = batch.column(image).to_pylist()
                labels = batch.column(label).to_pylist() if label else [None] * len(images)
                yield [
                    _item(value, target, row + offset)
                    for offset, (value, target) in enumerate(zip(images, labels, strict=True))
                ]
                row += len(images)

    total = sum(file.metadata.num_rows for file in files)
    require(total > 0, "data", expected=f"rows in {path}", got="none")
    names = _class_names(schema, label)
    chosen = _of_split(path, split)
    content = of_files(chosen, path)
    return Encoded(str(path), total, blocks, names, _stamp(chosen), content=content)


def open_parquet_in_chunks(path: Path, *, split: str) -> Chunked:
    """The same, of which a row group at a time is in memory.

    Raises
    ------
    ValueError
        As :func:`open_parquet`.
    """
    files = _of_split(path, split)
    with _open(files[0]) as first:
        schema = first.schema_arrow
    image, label = _image_column(schema, path), _label_column(schema)
    chunks: list[Chunk] = []
    labels: list[NDArray[Any]] = []
    for file in files:
        with _open(file) as opened:
            lengths = [opened.metadata.row_group(g).num_rows for g in range(opened.num_row_groups)]
            if label:
                labels += [_labels(opened, label)]
        chunks += [
            Chunk(length, partial(_RowGroup, file, group, image, label))
            for group, length in enumerate(lengths)
            if length
        ]
    require(bool(chunks), "data", expected=f"rows in {path}", got="none")
    counts = count_labels(str(path), labels)
    return Chunked(
        str(path),
        tuple(chunks),
        _stamp(files),
        counts,
        _class_names(schema, label),
        of_files(files, path),
    )


class _RowGroup:
    """The encoded images of a row group, in memory, by their position."""

    def __init__(self, path: Path, group: int, image: str, label: str | None) -> None:
        self._name = f"{path}, row group {group}"
        columns = [image, *([label] if label else [])]
        with _open(path) as file:
            table = file.read_row_group(group, columns=columns, use_threads=False)
        self._images = table.column(image)
        self._labels = table.column(label) if label else None

    def __call__(self, position: int) -> Item:
        label = None if self._labels is None else self._labels[position].as_py()
        item = _item(self._images[position].as_py(), label, position)
        return item._replace(name=f"{self._name}, {item.name}")


def _labels(file: Any, label: str) -> NDArray[np.int64]:
    column = file.read([label], use_threads=False).column(0)
    return column.cast("int64").fill_null(-1).to_numpy()


def _stamp(files: list[Path]) -> str:
    stats = [(file.name, file.stat()) for file in files]
    return "\n".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats)


def _of_split(path: Path, split: str) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(path.glob("*.parquet"))
    splits = {file.name.partition("-")[0] for file in files if "-" in file.name}
    if not splits:
        return files
    require(split in splits, "data.split", expected=f"one of {sorted(splits)}", got=repr(split))
    return [file for file in files if file.name.startswith(f"{split}-")]


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"data: expected a Parquet file, got {path} ({reason})") from error


def _image_column(schema: Any, path: Path) -> str:
    import pyarrow as pa

    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return field.name
    raise ValueError(
        f"data: expected a column of image bytes in {path}, got {', '.join(schema.names)}"
    )


def _label_column(schema: Any) -> str | None:
    import pyarrow as pa

    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    likely = [name for name in integers if "label" in name or "class" in name]
    return likely[0] if likely else None


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(features[label]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _item(value: Any, label: int | None, row: int) -> Item:
    data = value.get("bytes") if isinstance(value, dict) else value
    name = (value.get("path") if isinstance(value, dict) else None) or f"row {row}"

    def read() -> bytes:
        if data is None:
            raise ValueError("the row has no image bytes")
        return data

    return Item(name, read, -1 if label is None else label)
