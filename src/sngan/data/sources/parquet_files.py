"""Parquet files, and the Arrow files that ``save_to_disk`` of Hugging Face ``datasets`` writes."""

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sngan.data.errors import short_reason
from sngan.data.images.formats import suffix
from sngan.data.labels.splits import (
    is_split,
    leading_split,
    require_only_train,
    split_of,
    splits_among,
)
from sngan.data.memory import total_memory
from sngan.data.sources.parquet_columns import LABELS
from sngan.data.types import ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
PARQUET = ("parquet", "pq")
_BATCH = 16
_MOST_SEARCHED = 2000
_DEPTH = 3


class TableFile:
    """One file of a table: its schema, and its rows in batches.

    Raises
    ------
    ValueError
        If the file is damaged. Its methods raise this error too.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self._is_arrow = suffix(path.name) == "arrow"
        with _clear_errors(path):
            if self._is_arrow:
                with self._batches() as batches:
                    self.schema: Any = batches.schema
                    self.names: list[str] = self.schema.names
                    self.num_rows = sum(batch.num_rows for batch in batches)
                return
            # pyarrow takes only UTF-8 as a name, so open the file by its bytes
            self._file: Any = pq.ParquetFile(pa.OSFile(os.fsencode(path)))
            self.schema = self._file.schema_arrow
            self.names = self.schema.names
            metadata = self._file.metadata
            self.num_rows: int = metadata.num_rows
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            self.lengths: list[int] = [group.num_rows for group in groups]
            if sum(self.lengths) != self.num_rows or min(self.lengths, default=0) < 0:
                raise pa.ArrowInvalid("its numbers of rows disagree")
            largest = max((group.total_byte_size for group in groups), default=0)
        most = total_memory() // 2
        expected = f"row groups of at most {most} bytes in {printable(str(path))}"
        require(largest <= most, "data", expected=expected, got=largest)

    def values(self, column: str) -> Iterator[tuple[list[Any], int]]:
        """Return the values of a few rows at a time, and the bytes that these take."""
        with _clear_errors(self.path):
            for batch in self._of_column(column):
                yield batch.column(0).to_pylist(), batch.nbytes

    def _of_column(self, column: str) -> Iterator[Any]:
        if not self._is_arrow:
            yield from self._file.iter_batches(_BATCH, columns=[column])
            return
        with self._batches() as batches:
            for batch in batches:
                chosen = batch.select([column])
                # without validation, a wrong offset would be followed out of the file
                chosen.validate(full=True)
                for start in range(0, batch.num_rows, _BATCH):
                    yield chosen.slice(start, _BATCH)

    def column(self, name: str) -> Any:
        """Return a whole column."""
        import pyarrow as pa

        with _clear_errors(self.path):
            if not self._is_arrow:
                return self._file.read([name], use_threads=False).column(0)
            with self._batches() as batches:
                parts = [batch.column(name) for batch in batches]
            whole = pa.chunked_array(parts, self.schema.field(name).type)
            whole.validate(full=True)
            return whole

    def group(self, number: int, columns: list[str]) -> Any:
        """Return one row group of a Parquet file."""
        with _clear_errors(self.path):
            return self._file.read_row_group(number, columns=columns, use_threads=False)

    def close(self) -> None:
        """Close a Parquet file."""
        self._file.close()

    @contextmanager
    def _batches(self) -> Generator[Any]:
        import pyarrow as pa

        with pa.memory_map(os.fsencode(self.path)) as mapped, pa.ipc.open_stream(mapped) as batches:
            yield batches


@contextmanager
def _clear_errors(path: Path) -> Generator[None]:
    """Turn pyarrow's many errors on a damaged file into one that names the file.

    Raises
    ------
    ValueError
        If reading fails, or takes more memory than there is.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError, OverflowError) as error:
        kind = "an Arrow" if suffix(path.name) == "arrow" else "a Parquet"
        got = f"{printable(str(path))} ({short_reason(error)})"
        raise ValueError(f"data: expected {kind} file, got {got}") from error


def find_table_files(path: Path, options: ReadOptions) -> list[Path]:
    """Find the Parquet files of a path, or the Arrow files of a data set that was saved to disk.

    They lie at the top of a folder, or up to three folders below it if the top has none.
    """
    if path.is_file():
        return [path] if suffix(path.name) in (*PARQUET, "arrow") else []
    if options.is_legacy:
        return sorted(path.glob("*.parquet"))
    names = [name for name in os.listdir(path) if suffix(name) in PARQUET]  # noqa: PTH208
    # metadata.parquet describes image files in the same folder
    if found := [path / name for name in sorted(names) if name.lower() != "metadata.parquet"]:
        return found
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
    return _below(path, ("arrow",) if saved else PARQUET)


def _below(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    looked_at = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        if len(Path(folder).relative_to(root).parts) >= _DEPTH:
            folders.clear()
        found += [Path(folder) / name for name in sorted(files) if suffix(name) in suffixes]
        looked_at += len(files) + len(folders)
        if looked_at > _MOST_SEARCHED and not found:
            # so many files and no table: this is a folder of images
            break
    return found


def files_of_split(files: list[Path], root: Path, asked: str) -> list[Path]:
    """Return the files of a split, or all files if no name of a file or folder means a split.

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
        If there are splits, and ``asked`` is not among them; if there are none, and ``asked`` is
        not train.
    """
    longer = splits_among(file.stem for file in files)
    splits = {file: _split(file, root) or longer.get(file.stem) for file in files}
    if not any(splits.values()):
        require_only_train(asked, str(root))
        return files
    # beside train-0 and test-0, extra-0 is a split too
    named = {file: split or file.name.partition("-")[0] for file, split in splits.items()}
    chosen = [file for file in files if is_split(asked, named[file])]
    known = sorted({printable(name) for name in named.values()})
    if not chosen and len(known) == 1 and asked == "train":
        _log.warning("%s: reads %s, its only split", printable(str(root)), known[0])
        return files
    require(bool(chosen), "data.split", expected=f"one of {known}", got=repr(asked))
    return chosen


def _split(file: Path, root: Path) -> str | None:
    """The split in the names of a file and the folders that it lies in."""
    parts = file.relative_to(root).parts if file != root else ()
    in_folders = [split_of(part) for part in parts[:-1]]
    found = [*in_folders, leading_split(file.stem) if parts else None]
    return next((split for split in reversed(found) if split), None)


def folder_label(file: Path, root: Path) -> str:
    """Return the class in the name of a partitioned table's folder; empty if there is none.

    The label of ``label=cat/part-0.parquet`` stands only in the folder's name, not in the file.
    """
    parts = file.relative_to(root).parts[:-1] if file != root else ()
    pairs = (part.partition("=") for part in parts)
    return next((printable(value) for key, _, value in pairs if key.lower() in LABELS), "")
