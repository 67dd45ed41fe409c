"""Functions that end in different ways, for the test of functions with a time limit."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def returns(value: Any) -> dict[str, Any]:
    return {"value": value}


def raises(value: Any) -> dict[str, Any]:
    raise ValueError(f"{value}\nand a second line")


def dies(_: Any) -> dict[str, Any]:
    os._exit(7)


def hangs_with_a_child(path: str) -> dict[str, Any]:
    """Start a process that writes a file after a while, and wait for ever."""
    code = f"import time, pathlib; time.sleep(4); pathlib.Path({path!r}).touch()"
    with subprocess.Popen([sys.executable, "-c", code]):
        Path(f"{path}.started").touch()
        time.sleep(1000)
    return {}
