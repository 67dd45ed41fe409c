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
    """Start a process that does not end, write its number to a file, and wait for ever."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]) as child:
        Path(path).write_text(str(child.pid))
        time.sleep(1000)
    return {}
