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
_MAPPINGS = {"evaluation": "metrics", "sigma": "spectral"}
_GROUPS = {
    "loss": ("critic_loss", "generator_loss", "penalty", "orthonormal", "w_estimate"),
    "gradient": ("critic_gradient_norm", "generator_gradient_norm"),
    # of a few samples at each record; an evaluation measures more of them
    "transport": ("w1", "w1_bound", "lipschitz"),
    "modes": ("modes", "high_quality", "reverse_kl", "smallest_share"),
    "schedule": ("lr", "lr_critic", "penalty_weight", "ema_decay"),
    "augment": ("augment_p", "augment_sign"),
    "time": ("seconds", "cpu_seconds", "steps_per_second", "evaluation_seconds"),
}
_GROUP_OF = {key: group for group, keys in _GROUPS.items() for key in keys}
_LONGEST = 1000
_log = logging.getLogger("sngan")


class Events:
    """Writes a file ``events.out.tfevents.…``; a resumed run hides events after ``start``.

    Tags are grouped, such as ``loss/critic_loss`` and ``metrics/frechet``. The settings are shown
    as text, and as hyperparameters with the metrics of the last evaluation.

    Each event is written at once. torch's ``SummaryWriter`` writes in a thread, whose errors reach
    the screen but not the caller.

    Parameters
    ----------
    folder
        The run folder.
    start
        The step from which a resumed run goes on.
    settings
        The settings of the run under dotted keys.
    """

    def __init__(
        self, folder: Path, *, start: int = 0, settings: Mapping[str, Any] | None = None
    ) -> None:
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
        self._settings, self._metrics = dict(settings or {}), dict[str, None]()
        if self._settings:
            self._add_text("settings", _as_table(self._settings), start)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record; a value may also be a mapping, such as σ per layer."""
        with self._may_fail():
            for name, value in _named(record):
                self._add_scalar(name, value, record["step"])
                if name.startswith("metrics/"):
                    self._metrics[name] = None

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
        """Write the hyperparameters with the names of the metrics, and close the file."""
        with self._may_fail():
            if self._settings:
                self._add_hyperparameters()
            if self._writer is not None:
                self._writer.close()

    def _add_text(self, name: str, markdown: str, step: int) -> None:
        from torch.utils.tensorboard.summary import text

        with self._may_fail():
            self._write(step=step, summary=text(name, markdown))

    def _add_hyperparameters(self) -> None:
        """TensorBoard takes the values of the metrics from the curves of the same names."""
        from torch.utils.tensorboard.summary import hparams

        shown = {key: _plain(value) for key, value in self._settings.items()}
        for summary in hparams(shown, dict.fromkeys(self._metrics, 0.0)):
            self._write(summary=summary)

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
    """Yield the numbers of a record under tags that TensorBoard shows in groups."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            group = _MAPPINGS.get(key, key)
            yield from ((f"{group}/{name}", number) for name, number in value.items())
        elif key != "step":
            yield f"{_GROUP_OF.get(key, 'other')}/{key}", value


def _as_table(settings: Mapping[str, Any]) -> str:
    """A table in Markdown; bars and line ends of a name would break its rows."""
    rows = (f"| {key} | {_cell(value)} |" for key, value in settings.items())
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])


def _cell(value: object) -> str:
    return " ".join(str(value)[:_LONGEST].split()).replace("|", "\\|")


def _plain(value: object) -> bool | int | float | str:
    """A hyperparameter is a number or a text."""
    return value if isinstance(value, bool | int | float | str) else str(value)[:_LONGEST]
