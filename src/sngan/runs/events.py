"""TensorBoard events of a run. If they cannot be written, only the events stop."""

import logging
import os
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sngan.runs.layout import RunFolder
from sngan.utils.text import first_line

_VERSION = "brain.Event:2"
_log = logging.getLogger("sngan")


class Events:
    """Writes a file ``events.out.tfevents.…``; a resumed run hides events after ``start``.

    Each event is written at once. torch's ``SummaryWriter`` writes in a thread, whose errors reach
    the screen but not the caller.
    """

    def __init__(self, folder: Path, *, start: int = 0) -> None:
        # this import takes a second that only a training should pay
        from tensorboard.compat.proto.event_pb2 import SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.record_writer import RecordWriter

        host = socket.gethostname()
        name = f"{RunFolder.EVENTS}.{time.time_ns() // 10**9:010d}.{host}.{os.getpid()}"
        self._path, self._writer = folder / f"{name}.{time.time_ns() % 10**9}", None
        with self._may_fail():
            self._writer = RecordWriter(self._path.open("wb"))
            self._write(file_version=_VERSION)
            if start:
                self._write(step=start + 1, file_version=_VERSION)
                self._write(step=start + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record; a value may also be a mapping, such as σ per layer."""
        with self._may_fail():
            for name, value in _named(record):
                self._add_scalar(name, value, record["step"])

    def add_picture(self, path: Path, step: int) -> None:
        """Show a saved PNG."""
        import numpy as np
        from PIL import Image
        from torch.utils.tensorboard.summary import image

        with self._may_fail():
            with Image.open(path) as picture:
                has_opacity = picture.mode == "RGBA"
                pixels = np.asarray(picture if has_opacity else picture.convert("RGB"))
            self._write(step=step, summary=image("samples", pixels, dataformats="HWC"))

    def close(self) -> None:
        """Close the file."""
        with self._may_fail():
            if self._writer is not None:
                self._writer.close()

    def _add_scalar(self, name: str, value: Any, step: int) -> None:
        from torch.utils.tensorboard.summary import scalar

        self._write(step=step, summary=scalar(name, float("nan") if value is None else value))

    def _write(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

        if self._writer is not None:
            self._writer.write(Event(wall_time=time.time(), **fields).SerializeToString())
            self._writer.flush()

    @contextmanager
    def _may_fail(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            writer, self._writer = self._writer, None
            with suppress(OSError):
                if writer is not None:
                    writer.close()
            _log.warning("%s: no more TensorBoard events (%s)", self._path, first_line(error))


def _named(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}/{name}", number) for name, number in value.items())
        elif key != "step":
            yield key, value
