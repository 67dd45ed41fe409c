"""Output of commands: results as text and JSON, errors as one line."""

import sys
from pathlib import Path
from typing import Any

from sngan.cli.paths import expanded
from sngan.utils.files import named_in_errors, write_bytes
from sngan.utils.plain import to_json
from sngan.utils.text import on_one_line, printable

JSON_HELP = "write the figures as one JSON object to FILE; -: to standard output, without the text"
_POSITIONAL = (
    *("run", "source", "source_x", "source_y", "shell", "target", "command"),
    *("network", "certificate"),
)


def print_result(data: dict[str, Any], text: str, *, json_to: str | None) -> None:
    """Print the text and write the JSON; only one of them goes to standard output.

    Parameters
    ----------
    data
        The values of the JSON object.
    text
        The text for people.
    json_to
        The file of ``--json``; ``-`` is standard output, and None writes no JSON.
    """
    line = to_json(data, indent=2)
    if json_to == "-":
        print(line)
        return
    print(text)
    if json_to is not None:
        _write(expanded(json_to), f"{line}\n".encode())
        print(f"json: {json_to}")


def _write(path: Path, data: bytes) -> None:
    """Write a file in one piece, or into a path that is no file, such as a pipe."""
    with named_in_errors(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            path = path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)


def say_interrupted(stop: KeyboardInterrupt) -> int:
    """Print that the user stopped a command, and the command that goes on; return the status."""
    said = [printable(on_one_line(stop)) or "interrupted", *getattr(stop, "__notes__", [])]
    print(f"sngan: {'; '.join(said)}", file=sys.stderr)
    return 130


def fail(message: str, *, status: int) -> int:
    """Print one line of error on standard error, and return the exit status."""
    print(f"sngan: error: {printable(on_one_line(message))}", file=sys.stderr)
    return status


def with_dashes(message: str) -> str:
    """Turn ``steps: expected …`` into ``--steps: expected …``, the flag as the user types it."""
    name = message.partition(":")[0]
    is_setting = name.replace(".", "").replace("_", "").isalnum() and name.islower()
    return f"--{message}" if is_setting and name not in _POSITIONAL else message
