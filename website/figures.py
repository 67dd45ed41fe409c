"""The guide's scripts: each runs in a process of its own, and its results are kept by content."""

import os
import re
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
    today, kept = digest([script, Path(__file__)]) + salt, out / f"{script.stem}.digest"
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


def themed(svg: str) -> str:
    """Return an SVG of matplotlib as a part of a page, with the colours of the page's scheme."""
    svg = svg[svg.index("<svg ") :]
    # matplotlib's style would hold for the whole page, and its metadata for nothing
    svg = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    style = "fill: currentColor; stroke-linejoin: round; stroke-linecap: butt"
    svg = svg.replace("<svg ", f'<svg style="{style}" ', 1)
    return re.sub(r"\s*\n\s*", " ", svg).strip()


# colours of a figure, and the variables of docs/assets/site.css that take their places
_COLOURS = {
    "#000000": "currentColor",
    "#ffffff": "var(--md-default-bg-color)",
    "#cccccc": "var(--md-default-fg-color--lightest)",
    "#0b6fb8": "var(--sngan-real)",
    "#c14a09": "var(--sngan-generated)",
    "#007a5a": "var(--sngan-bound)",
    "#7b3fa0": "var(--sngan-critic)",
}
# A figure is as wide as a phone needs it, and is enlarged on a wide page. A script that sets no
# seed has this one, so that each build shows the same figure.
_PROGRAM = """
import random, runpy, sys
import matplotlib as mpl
import numpy as np
import torch
mpl.rcParams.update({
    "svg.fonttype": "path", "svg.hashsalt": "sngan", "savefig.bbox": "tight",
    "figure.figsize": (4.8, 3.2), "axes.spines.top": False, "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=["#0b6fb8", "#c14a09", "#007a5a", "#7b3fa0"]),
    "font.size": 10, "figure.constrained_layout.use": True,
    "savefig.facecolor": "none", "axes.facecolor": "none",
})
random.seed(0), np.random.seed(0), torch.manual_seed(0)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
