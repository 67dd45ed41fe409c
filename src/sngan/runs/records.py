"""What a run writes down while it trains: ``metrics.jsonl`` and the TensorBoard events."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sngan.runs.events import Events
from sngan.utils.files import atomic_write, naming
from sngan.utils.plain import to_json

METRICS = "metrics.jsonl"
_LONGEST_LINE = 2**20
_decode = json.JSONDecoder().decode
_log = logging.getLogger("sngan")


class Recorder:
    """Appends records to a run's folder; a resumed run forgets what came after ``start``.

    Of records ``every`` so many steps, those that are missing up to ``start`` are counted in a
    warning.
    """

    def __init__(self, folder: Path, *, start: int = 0, every: int = 0) -> None:
        self._path = folder / METRICS
        _forget_after(self._path, start)
        if every:
            _warn_of_missing(folder, start, every)
        self._metrics = self._path.open("a")
        self._events = Events(folder, start=start)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write one record: numbers, or one level of named numbers such as σ per layer."""
        with naming(self._path):
            self._metrics.write(f"{to_json(record)}\n")
            self._metrics.flush()
        self._events.add(record)

    def picture(self, path: Path, step: int) -> None:
        """Show a saved PNG in TensorBoard."""
        self._events.add_picture(path, step)

    def flush(self) -> None:
        """Flush the records to the disk, before a checkpoint that comes after them."""
        with naming(self._path):
            os.fsync(self._metrics.fileno())

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        # every record was flushed; one that could not be is in an error already
        with suppress(OSError):
            self._metrics.close()
        self._events.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return all records of a run; see :func:`iter_records`, which does not hold them all."""
    return list(iter_records(folder))


def iter_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a run's ``metrics.jsonl`` one by one, in the order of the file.

    A record is an object with a ``step``. Other lines are passed over, with one warning that
    counts them; a last line that a crash cut off needs none.
    """
    path, strange = folder / METRICS, 0
    if not path.is_file():
        return
    for line, record in _lines(path):
        strange += record is None and line.endswith(b"\n")
        if record is not None:
            yield record
    if strange:
        _log.warning("%s: passed over %d lines that are no records", path, strange)


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Each line of a file, and its record if it is one."""
    with path.open("rb") as file:
        # no line of a record comes near this length: the rest of a longer one is passed over
        while line := file.readline(_LONGEST_LINE):
            yield line, _parsed(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = _decode(line.decode())
    except (ValueError, RecursionError):
        return None
    step = record.get("step") if isinstance(record, dict) else None  # pyright: ignore
    is_record = isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**53
    return record if is_record else None  # pyright: ignore


def _forget_after(path: Path, start: int) -> None:
    """Drop the records after a step, and a line that was cut off; the others stay as they are.

    The file is replaced by a new one, and only where there is something to drop.
    """

    def stays(line: bytes, record: dict[str, Any] | None) -> bool:
        return line.endswith(b"\n") and (record is None or record["step"] <= start)

    if not path.is_file() or all(stays(*one) for one in _lines(path)):
        return
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.writelines(line for line, record in _lines(path) if stays(line, record))


def _warn_of_missing(folder: Path, start: int, every: int) -> None:
    expected = start // every
    found = bytearray(expected + 1)
    for record in iter_records(folder):
        # evaluations are records of their own
        if "evaluation" not in record and record["step"] % every == 0:
            found[record["step"] // every] = 1
    missing = expected - sum(found[1:])
    if missing:
        _log.warning(
            "%s: %d of the %d records up to step %d are missing",
            folder / METRICS,
            missing,
            expected,
            start,
        )
