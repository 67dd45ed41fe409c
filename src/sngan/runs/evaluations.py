"""Evaluations of a finished run: ``evaluations.jsonl``, a line for each ``sngan evaluate``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sngan.runs.layout import RunFolder
from sngan.runs.managed import ManagedRunFolder
from sngan.utils.files import named_in_errors
from sngan.utils.plain import parse_json, to_json

_LONGEST_LINE = 2**20


def add_evaluation(folder: Path, result: Mapping[str, Any]) -> None:
    """Append a result to the file; a line that a crash cut off stays by itself.

    Raises
    ------
    ValueError
        If another program's file is there.
    OSError
        If the file cannot be written.
    """
    run = ManagedRunFolder(folder)
    if not run.files.exists():
        run.adopt()
    path = run.files.claim(run.EVALUATIONS)
    with named_in_errors(path), path.open("a") as file:
        start = "\n" if file.tell() else ""
        file.write(f"{start}{to_json(result)}")


def iter_evaluations(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the results that the file holds; other lines, and a link, are passed over."""
    path = RunFolder(folder).evaluations
    if path.is_symlink() or not path.is_file():
        return
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            try:
                result: Any = parse_json(line.decode())
            except (ValueError, RecursionError):
                continue
            if isinstance(result, dict):
                yield result
