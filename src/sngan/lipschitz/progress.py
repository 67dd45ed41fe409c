"""A progress bar for bounds that take a while."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

# called with the name of a phase, and how many of its steps are done
ProgressReport = Callable[[str, int, int], None]


def no_progress(_phase: str, _done: int, _total: int) -> None:
    """Report nothing."""


@contextmanager
def progress_bar(*, is_shown: bool) -> Generator[ProgressReport]:
    """A function that draws how far each phase is, on standard error if that is a terminal."""
    if not is_shown:
        yield no_progress
        return
    # only needed where somebody watches
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
