"""Parquet files in the layout of Hugging Face: a struct of image bytes, and a label."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sngan._checks import require
from sngan.data.decoding import Encoded, Item

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
    stamp = [f"{f.name}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in _of_split(path, split)]
    return Encoded(str(path), total, blocks, _class_names(schema, label), "\n".join(stamp))


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
