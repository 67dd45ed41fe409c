"""The guide's scripts: each runs in a process of its own, and its results are kept by content."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from website.kept import ROOT, digest, digest_of_package

_LIMIT_SECONDS = 1800


def run_all(docs: Path, build: Path) -> None:
    """Run every script below ``docs/guide``, two at a time, if its result is missing or old.

    Raises
    ------
    RuntimeError
        If a script fails: the message has the script's name and the end of its output.
    """
    # pages also show figures from the kept records
    records = (ROOT / "benchmarks" / "results" / "records").rglob("*.json")
    package = digest_of_package() + digest(sorted(records))
    scripts = sorted((docs / "guide").glob("*.py"))
    with ThreadPoolExecutor(max_workers=2) as pool:
        for _ in pool.map(lambda script: run(script, build / "guide", salt=package), scripts):
            pass


def run(script: Path, out: Path, *, salt: str = "") -> None:
    """Run ``script`` with the working directory ``out``, unless its kept digest is today's.

    Raises
    ------
    RuntimeError
        If the script fails: the message has the script's name and the end of its output.
    """
    out.mkdir(parents=True, exist_ok=True)
    today, kept = digest([script]) + salt, out / f"{script.stem}.digest"
    if kept.exists() and kept.read_text() == today:
        return
    settings = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(script)],
        cwd=out,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{script} failed:\n{result.stderr[-3000:]}")
    kept.write_text(today)


_PROGRAM = """
import runpy, sys
import matplotlib as mpl
mpl.rcParams.update({
    "svg.fonttype": "path", "svg.hashsalt": "sngan", "savefig.bbox": "tight",
    "figure.figsize": (6.4, 3.6), "axes.spines.top": False, "axes.spines.right": False,
    "font.size": 10, "savefig.transparent": False, "figure.constrained_layout.use": True,
})
runpy.run_path(sys.argv[1], run_name="__main__")
"""
