"""Harnesses of faults: programs that run as a process of their own and print JSON."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def run_harness(module: ModuleType, folder: Path, count: int) -> dict[str, Any]:
    """Run ``python MODULE FOLDER COUNT SEED``, with the count as the seed, and return its JSON."""
    done = subprocess.run(
        [sys.executable, str(module.__file__), str(folder), str(count), str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
