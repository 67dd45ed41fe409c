"""Progress bar for bounds that take more than seconds."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

# takes the name of a phase, the number of steps that are done, and the number of all its steps
ProgressReport = Callable[[str, int, int], None]


def no_progress(_phase: str, _done: int, _total: int) -> None:
    """Report nothing."""


@contextmanager
def progress_bar(*, is_shown: bool) -> Generator[ProgressReport]:
    """Yield a function that draws the progress of each phase, if standard error is a terminal."""
    if not is_shown:
        yield no_progress
        return
    # rich is slow to import, and only a visible bar needs it
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done)

        yield report
