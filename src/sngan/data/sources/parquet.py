"""Parquet of images in the layout of Hugging Face: a struct of image bytes, and a label."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan.data import legacy
from sngan.data.fingerprint import of_files
from sngan.data.labels.encoding import Labels, encode
from sngan.data.labels.missing import drop_unlabelled, rows_to_read
from sngan.data.sources.chunked import ChunkedSource, count_labels
from sngan.data.sources.parquet_columns import Columns, choose_columns
from sngan.data.sources.parquet_files import (
    TableFile,
    files_of_split,
    find_table_files,
    folder_label,
)
from sngan.data.types import Chunk, Encoded, Item, ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_BLOCK = 4096
_BLOCK_BYTES = 2**26


def open_parquet(path: Path, options: ReadOptions) -> Encoded:
    """Open a Parquet file, or the files of a folder; if names mean splits, those of one split.

    Raises
    ------
    ValueError
        If a file is damaged, has no column of images, or no file belongs to the split.
    """
    files = [TableFile(file) for file in _files(path, options)]
    chosen = _columns(files, path, options)
    total = sum(file.num_rows for file in files)
    require(total > 0, "data", expected=f"rows in {printable(str(path))}", got="none")
    known = _labels(files, chosen, path, options)

    def blocks() -> Iterator[list[Item]]:
        block: list[Item] = []
        size = row = 0
        for file in files:
            for values, nbytes in file.values(chosen.image):
                for value in values:
                    item = _item(value, row)
                    block.append(item._replace(label=int(known.classes[row])) if known else item)
                    row += 1
                size += nbytes
                if len(block) >= _BLOCK or size >= _BLOCK_BYTES:
                    yield block
                    block, size = [], 0
        if block:
            yield block

    paths = [file.path for file in files]
    names = known.names if known else ()
    encoded = Encoded(str(path), total, blocks, names, _stamp(paths), content=of_files(paths, path))
    if known is None or options.is_legacy:
        return encoded
    return drop_unlabelled(encoded, int((known.classes < 0).sum()))


def open_chunked_parquet(path: Path, options: ReadOptions) -> ChunkedSource:
    """Open the same files, with one row group at a time in memory.

    Raises
    ------
    ValueError
        If :func:`open_parquet` would raise, or the files are Arrow files.
    """
    paths = _files(path, options)
    expected = "stream only for shards:PATTERN and Parquet"
    arrow = any(file.suffix == ".arrow" for file in paths)
    require(not arrow, "data.cache", expected=expected, got=f"it for {printable(str(path))}")
    files = [TableFile(file) for file in paths]
    chosen = _columns(files, path, options)
    known = _labels(files, chosen, path, options)
    total = sum(file.num_rows for file in files)
    numbers = np.full(total, -1) if known is None else known.classes
    keep = np.ones(total, bool)
    if known is not None and not options.is_legacy:
        keep = rows_to_read(numbers, printable(str(path)))
    chunks: list[Chunk] = []
    first = 0
    for file in files:
        for group, length in enumerate(file.lengths):
            rows = np.flatnonzero(keep[first : first + length])
            if len(rows):
                own = numbers[first : first + length][rows]
                load = partial(_RowGroup, file.path, group, chosen.image, rows, own)
                chunks.append(Chunk(len(rows), load))
            first += length
        file.close()
    require(bool(chunks), "data", expected=f"rows in {printable(str(path))}", got="none")
    counts = count_labels(str(path), [numbers[keep]]) if known else None
    names = known.names if known else ()
    content = of_files(paths, path)
    return ChunkedSource(str(path), tuple(chunks), _stamp(paths), counts, names, content)


class _RowGroup:
    """Encoded images of some rows of a row group, held in memory."""

    def __init__(
        self,
        path: Path,
        group: int,
        image: str,
        rows: NDArray[np.int64],
        classes: NDArray[np.int64],
    ) -> None:
        self._name = f"{path}, row group {group}"
        self._rows, self._classes = rows, classes
        file = TableFile(path)
        self._images = file.group(group, [image]).column(image)
        file.close()

    def __call__(self, position: int) -> Item:
        row = int(self._rows[position])
        try:
            value = self._images[row].as_py()
        except UnicodeDecodeError:
            # the path that is stored with the bytes is damaged
            value = None
        item = _item(value, row)
        return Item(f"{self._name}, {item.name}", item.read, int(self._classes[position]))


def _files(path: Path, options: ReadOptions) -> list[Path]:
    files = find_table_files(path, options)
    if options.is_legacy:
        return legacy.files_of_split(files, path, options.split)
    return files_of_split(files, path, options.split)


def _columns(files: list[TableFile], path: Path, options: ReadOptions) -> Columns:
    shown = printable(str(path))
    if options.is_legacy:
        return legacy.table_columns(files[0].schema, shown)
    chosen = choose_columns(files[0].schema, options, shown)
    wanted = {chosen.image, *([chosen.label] if chosen.label else [])}
    for file in files:
        missing = wanted - set(file.names)
        expected = f"the columns {sorted(wanted)} in {printable(str(file.path))}"
        require(not missing, "data", expected=expected, got=file.names)
    return chosen


def _labels(
    files: list[TableFile], chosen: Columns, path: Path, options: ReadOptions
) -> Labels | None:
    """The class of each row of all files; ``None`` without labels."""
    if chosen.label is None:
        return _of_partitions(files, path, options)
    parts = [_values(file.column(chosen.label)) for file in files]
    numbers = all(part.dtype.kind in "iu" for part in parts)
    if numbers and (options.is_legacy or _fit(parts, chosen.class_names)):
        whole = np.concatenate([part.astype(np.int64) for part in parts])
        return Labels(whole, chosen.class_names)
    values = np.concatenate(parts if numbers else [_as_text_or_number(parts, p) for p in parts])
    return encode(values, f"{printable(str(path))}[{printable(chosen.label)}]")


def _of_partitions(files: list[TableFile], path: Path, options: ReadOptions) -> Labels | None:
    """The class of each row by its file's folder, such as ``label=cat``, if every file has one."""
    found = [folder_label(file.path, path) for file in files]
    if options.labels != "auto" or options.is_legacy or not all(found):
        return None
    rows = [file.num_rows for file in files]
    return encode(np.repeat(np.array(found), rows), printable(str(path)))


def _fit(parts: list[NDArray[Any]], names: tuple[str, ...]) -> bool:
    return bool(names) and all(int(part.max(initial=-1)) < len(names) for part in parts)


def _as_text_or_number(parts: list[NDArray[Any]], part: NDArray[Any]) -> NDArray[Any]:
    return part.astype(str) if any(one.dtype.kind == "U" for one in parts) else part


def _values(column: Any) -> NDArray[Any]:
    """A column as numbers or text; null becomes −1, nan or empty text."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], np.str_)
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    if pa.types.is_boolean(column.type) or (column.null_count and column.type != pa.int64()):
        column = column.cast(pa.int64())
    return column.fill_null(-1).to_numpy() if column.null_count else column.to_numpy()


def _stamp(files: list[Path]) -> str:
    stats = [(file.name, file.stat()) for file in files]
    return "\n".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats)


def _item(value: Any, row: int) -> Item:
    data = value.get("bytes") if isinstance(value, dict) else value
    name = (value.get("path") if isinstance(value, dict) else None) or f"row {row}"

    def read() -> bytes:
        if data is None:
            raise ValueError("the row has no image bytes")
        return data

    return Item(str(name), read)
