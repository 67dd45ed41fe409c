"""A function in a process of its own, with a time limit that holds even if it hangs."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_MOST_CHARACTERS = 500
_SECONDS_TO_END = 5.0


def run_limited(
    function: Callable[[Any], dict[str, Any]], argument: object, seconds: float
) -> dict[str, Any]:
    """Call ``function(argument)`` in a new process, and end all its processes after this time.

    Parameters
    ----------
    function
        A function of a module, which returns plain values.
    argument
        Its argument, which must be picklable.
    seconds
        The time that it may take, with the start of its process.

    Returns
    -------
    dict
        ``ok`` and ``seconds``; ``result`` if the function returned, else ``error``.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcome.json"
        # a new interpreter, because a CUDA device cannot be used after a fork
        process = get_context("spawn").Process(target=_write, args=(function, argument, path))
        process.start()
        process.join(seconds)
        if process.is_alive():
            outcome = _failed(f"not done after {seconds:g} s")
            _end(process)
        elif path.exists():
            outcome = json.loads(path.read_text())
        else:
            outcome = _failed(f"its process ended with status {process.exitcode}")
    return {**outcome, "seconds": time.perf_counter() - begun}


def _write(function: Callable[[Any], dict[str, Any]], argument: object, path: Path) -> None:
    # a group of its own, so that the processes that it starts end with it
    os.setsid()
    try:
        outcome = {"ok": True, "result": function(argument)}
        text = json.dumps(outcome)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        text = json.dumps(_failed(said[:_MOST_CHARACTERS]))
    # the file appears whole, because a process may be ended while it writes
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text)
    unfinished.rename(path)


def _failed(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def _end(process: Any) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # its group does not exist yet if it hangs at its start
    process.kill()
    process.join(_SECONDS_TO_END)
