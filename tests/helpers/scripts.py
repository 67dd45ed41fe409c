"""Scripts of ``examples/`` in processes that fork from a server, which has done the imports."""

import io
import os
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from helpers.forkserver import in_forked_process


def forked_script(path: Path, folder: Path) -> tuple[str, str]:
    """Run a script with ``folder`` as its argument and its place; return output and errors."""
    return in_forked_process(_run, path, folder)


def _run(path: Path, folder: Path) -> tuple[str, str]:
    os.chdir(folder)
    os.environ["TMPDIR"] = str(folder)
    sys.argv = [str(path), str(folder)]
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as errors:
        runpy.run_path(str(path), run_name="__main__")
    return output.getvalue(), errors.getvalue()
