"""Table of the playground's page: what five runs of each method end with, run in node.

``python -m website.playground`` trains them by the page's own JavaScript in ten minutes of CPU
time, and writes the table into ``docs/playground.md``. Read the sentences below it again then.
"""

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "playground.md"
CORE = [DOCS / "playground" / name for name in ("engine.js", "session.js")]
RUNS = Path(__file__).with_name("playground_runs.js")
STEPS, SEEDS = 2000, 5
METHODS = ("vanilla", "wgan", "wgan-gp", "r1", "sn")
ROWS: list[dict[str, Any]] = [
    *({"data": "ring8", "method": method} for method in METHODS),
    *({"data": "grid25", "method": method} for method in METHODS),
    {"data": "grid25", "method": "wgan", "settings": {"clip": 0.01}},
    {"data": "grid25", "method": "vanilla", "settings": {"lr": 0.005}},
    {"data": "grid25", "method": "sn", "settings": {"lr": 0.005}},
]
_TABLE = re.compile(r"(<!-- runs -->\n).*?(<!-- end of runs -->)", re.DOTALL)


def results(row: dict[str, Any], *, steps: int = STEPS, seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Return the measures at the end of the runs with the first seeds."""
    options = json.dumps({**row, "steps": steps, "seeds": seeds})
    command = ["node", str(RUNS), *map(str, CORE), options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def line(row: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """Return the line of the table for the runs of one method."""
    settings = "".join(f", {key} {value}" for key, value in row.get("settings", {}).items())
    modes = ", ".join(str(run["covered"]) for run in found)

    def average(key: str) -> float:
        return mean(run[key] for run in found)

    return (
        f"| {row['method']}{settings} on {row['data']} | {modes} of {found[0]['total']} "
        f"| {100 * average('share'):.0f} % | {average('w1'):.2f} | {average('floor'):.2f} "
        f"| {average('bound'):.4f} | {average('lipschitz'):.3g} |"
    )


def main() -> None:
    """Run all rows, as many at a time as there are cores, and write the table."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lines = list(map(line, ROWS, pool.map(results, ROWS)))
    head = (
        f"| {SEEDS} runs of {STEPS} steps | modes covered, seed by seed | within 3 σ | exact W₁ "
        "| W₁ of the data itself | critic's lower bound | its constant L |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    table = head + "\n".join(lines) + "\n"
    PAGE.write_text(_TABLE.sub(lambda found: found[1] + table + found[2], PAGE.read_text()))


if __name__ == "__main__":
    main()
