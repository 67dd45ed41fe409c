"""Records of a run: ``metrics.jsonl`` and the TensorBoard events."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sngan.runs.events import Events
from sngan.runs.layout import RunFolder
from sngan.utils.checks import is_integer
from sngan.utils.files import atomic_write, named_in_errors
from sngan.utils.plain import to_json
from sngan.utils.text import counted

_LONGEST_LINE = 2**20
_decode = json.JSONDecoder().decode
_log = logging.getLogger("sngan")


class Recorder:
    """Appends records to a run's folder; records of steps after ``start`` are dropped first.

    ``every`` is the number of steps between two records; if it is given, a warning counts the
    records that are missing up to ``start``. TensorBoard shows ``settings``, if they are given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: int = 0,
        every: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = RunFolder(folder).metrics
        _forget_after(self._path, start)
        if every:
            _warn_of_missing(folder, start, every)
        self._metrics = self._path.open("a")
        self._events = Events(folder, start=start, settings=settings)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write one record: numbers, and mappings of numbers such as σ per layer."""
        with named_in_errors(self._path):
            self._metrics.write(f"{to_json(record)}\n")
            self._metrics.flush()
        self._events.add(record)

    def add_picture(self, path: Path, step: int) -> None:
        """Show a saved PNG in TensorBoard."""
        self._events.add_picture(path, step)

    def flush(self) -> None:
        """Flush the records to the disk, so that no checkpoint is newer than its records."""
        with named_in_errors(self._path):
            os.fsync(self._metrics.fileno())

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        # log() flushes every record, and has raised already if that failed
        with suppress(OSError):
            self._metrics.close()
        self._events.close()


def iter_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a run's ``metrics.jsonl`` one by one, in the order of the file.

    A record is a JSON object with a ``step``. Other lines are skipped, and one warning counts
    them. A last line that a crash cut off is skipped without a warning.
    """
    path, strange = RunFolder(folder).metrics, 0
    if not path.is_file():
        return
    for line, record in _lines(path):
        strange += record is None and line.endswith(b"\n")
        if record is not None:
            yield record
    if strange:
        lines = counted(strange, "line that is no record", "lines that are no records")
        _log.warning("%s: passed over %s", path, lines)


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield each line of a file with its record, or with ``None`` if it is no record."""
    with path.open("rb") as file:
        # no record is nearly this long, so the parts of a longer line are no records
        while line := file.readline(_LONGEST_LINE):
            yield line, _parsed(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = _decode(line.decode())
    except (ValueError, RecursionError):
        return None
    step = record.get("step") if isinstance(record, dict) else None
    is_record = is_integer(step) and 0 <= step < 2**53
    return record if is_record else None


def _forget_after(path: Path, start: int) -> None:
    """Drop the records after a step, and a last line that was cut off; keep all other lines.

    The file is replaced only if there is something to drop.
    """

    def stays(line: bytes, record: dict[str, Any] | None) -> bool:
        return line.endswith(b"\n") and (record is None or record["step"] <= start)

    if not path.is_file() or all(stays(*one) for one in _lines(path)):
        return
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.writelines(line for line, record in _lines(path) if stays(line, record))


def _warn_of_missing(folder: Path, start: int, every: int) -> None:
    expected, others = start // every, 0
    found = bytearray(expected + 1)
    for record in iter_records(folder):
        # an evaluation has a second record at its step
        if "evaluation" in record:
            continue
        if record["step"] % every == 0:
            found[record["step"] // every] = 1
        else:
            others += 1
    # before the first two of this distance, the run may have logged at other steps
    first = max(1, found.find(b"\x01\x01", 1))
    expected, present = expected + 1 - first, sum(found[first:])
    missing = expected - present
    # a run that logged by time, or at other steps, has most of its records elsewhere
    if missing and others <= present:
        _log.warning(
            "%s: %d of the %d records up to step %d %s missing",
            RunFolder(folder).metrics,
            missing,
            expected,
            start,
            "is" if missing == 1 else "are",
        )
