"""What a run writes down while it trains: ``metrics.jsonl`` and the TensorBoard events."""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
_LONGEST_LINE = 2**20
_decode = json.JSONDecoder().decode
_log = logging.getLogger("sngan")


class Recorder:
    """Appends records to a run's folder; a resumed run forgets what came after ``start``."""

    def __init__(self, folder: Path, *, start: int = 0) -> None:
        # a second of import time that only training should pay
        from torch.utils.tensorboard import SummaryWriter

        path = folder / METRICS
        kept = [record for record in read_metrics(folder) if record["step"] <= start]
        path.write_text("".join(f"{json.dumps(record)}\n" for record in kept))
        self._metrics = path.open("a")
        self._events = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write one record: numbers, or one level of named numbers such as σ per layer."""
        self._metrics.write(f"{json.dumps(_finite(record))}\n")
        self._metrics.flush()
        for key, value in record.items():
            if isinstance(value, Mapping):
                for name, number in value.items():
                    self._events.add_scalar(f"{key}/{name}", number, record["step"])
            elif key != "step":
                self._events.add_scalar(key, value, record["step"])

    def picture(self, path: Path, step: int) -> None:
        """Show a saved PNG in TensorBoard."""
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._events.add_image("samples", pixels, step, dataformats="HWC")

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
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
    path, strange, last = folder / METRICS, 0, b""
    if not path.is_file():
        return
    with path.open("rb") as file:
        # no record's line comes near this length: a longer one is no record
        for line in iter(partial(file.readline, _LONGEST_LINE), b""):
            record, last = _parsed(line), line
            if record is None:
                strange += 1
            else:
                yield record
    strange -= bool(last) and not last.endswith(b"\n") and _parsed(last) is None
    if strange:
        _log.warning("%s: passed over %d lines that are no records", path, strange)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = _decode(line.decode())
    except (ValueError, RecursionError):
        return None
    step = record.get("step") if isinstance(record, dict) else None  # pyright: ignore
    is_record = isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**53
    return record if is_record else None  # pyright: ignore


def _finite(value: Any) -> Any:
    """JSON has no infinity: a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
