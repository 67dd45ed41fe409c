"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from sngan.utils.streams import tolerant

_PLAIN_SECONDS = 5.0


class Progress:
    """Shows a training run: step, losses, scores, gradients, largest σ, speed, time left."""

    def __init__(self, *, total: int, start: int = 0, file: TextIO | None = None) -> None:
        self._total, self._first = total, start
        self._file = tolerant(file or sys.stdout)
        self._bar: Any = None
        self._task: Any = None
        self._started = time.perf_counter()

    def __enter__(self) -> "Progress":
        if self._file.isatty():
            self._bar = _bar(self._file, "{task.fields[facts]}")
            self._bar.start()
            self._task = self._bar.add_task(
                "training", total=self._total, completed=self._first, facts=""
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Move the bar; this costs little enough to do in every step."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def log(self, record: Mapping[str, Any]) -> None:
        """Show the figures of a logged step."""
        facts = _facts(record)
        if self._bar is not None:
            self._bar.update(self._task, completed=record["step"], facts=facts)
            return
        elapsed = time.perf_counter() - self._started
        done = max(record["step"] - self._first, 1)
        left = elapsed / done * (self._total - record["step"])
        print(
            f"step {record['step']}/{self._total}  {facts}  left {_clock(left)}",
            file=self._file,
            flush=True,
        )

    def note(self, message: str) -> None:
        """Print a message above the bar."""
        if self._bar is not None:
            self._bar.console.print(message)
        else:
            print(message, file=self._file, flush=True)


@contextmanager
def counting(
    description: str, *, file: TextIO | None = None
) -> Generator[Callable[[int, int], None]]:
    """Yield ``progress(done, total)`` for one long piece of work."""
    out = tolerant(file or sys.stdout)
    if out.isatty():
        with _bar(out, "") as bar:
            task = bar.add_task(description, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    said = time.perf_counter()

    def progress(done: int, total: int) -> None:
        nonlocal said
        if time.perf_counter() - said > _PLAIN_SECONDS:
            said = time.perf_counter()
            print(f"{description} {done}/{total}", file=out, flush=True)

    yield progress


def _bar(file: TextIO, facts: str) -> Any:
    # this import takes a tenth of a second, which only a terminal needs
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn(facts),
        TimeRemainingColumn(),
        console=Console(file=file),
        refresh_per_second=4,
    )


def _facts(record: Mapping[str, Any]) -> str:
    bound = record.get("w1_bound")
    sigmas = record.get("sigma") or {}
    values = {
        "critic": record.get("critic_loss"),
        "generator": record.get("generator_loss"),
        "real−fake": record.get("w_estimate"),
        "W1": record.get("w1"),
        # a distance is at least 0, so a lower bound says no less than that
        "W1 ≥": None if bound is None else max(bound, 0.0),
        "p": record.get("augment_p"),
        "|∇G|": record.get("generator_gradient_norm"),
        "σ": max(sigmas.values()) if sigmas else None,
    }
    facts = [f"{name} {value:.3g}" for name, value in values.items() if value is not None]
    return "  ".join([*facts, f"{record['steps_per_second']:.3g} it/s"])


def _clock(seconds: float) -> str:
    whole = round(max(seconds, 0.0))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
