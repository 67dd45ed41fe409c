"""Two commands in one folder at the same time: one process forks for each of them.

``try_pairs`` runs in a process of one thread, because a fork loses all others.
"""

import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from helpers import tiny_run
from helpers.folders import SMALL
from sngan import load
from sngan.cli import main

_KINDS = ("new", "resume", "overwrite", "report", "generate")
_STEPS = ("--steps", "4")
_SEEDS = (0, 1, 2)
_DELAYS = (0.0, 0.05, 0.2)


def try_pairs(folder: Path, count: int, seed: int) -> dict[str, object]:
    """Start pairs, the first of which are two new runs; return their ends and what was wrong."""
    chance, counts, lost = random.Random(seed), Counter[str](), list[str]()
    whole = [folder / f"whole-{one}" for one in _SEEDS]
    # The first pair starts two new runs; only later pairs start from the run of seed 0.
    for one in _SEEDS if count > 1 else _SEEDS[1:]:
        if main(_command("new", whole[one], one)) != 0:
            raise RuntimeError("no undisturbed run")
    for number in range(count):
        kinds = (chance.choice(_KINDS[:3]), chance.choice(_KINDS)) if number else ("new", "new")
        run = folder / str(number)
        if "new" not in kinds or (number and chance.random() < 0.5):
            shutil.copytree(whole[0], run)
        was_there = run.exists()
        commands = [_command(kind, run, one + 1) for one, kind in enumerate(kinds)]
        ends = _both(commands, chance.choice(_DELAYS), folder / "said")
        found = f"{' and '.join(kinds)}: {sorted(status for status, _ in ends)}"
        counts[found] += 1
        wrong = [*_unclear(ends), *_mixed(run, whole)]
        if kinds == ("new", "new") and not was_there and {status for status, _ in ends} != {0, 2}:
            wrong.append("two new runs, of which one is to be refused")
        lost += [f"{found}: {problem}" for problem in wrong]
        shutil.rmtree(run, ignore_errors=True)
    return {"pairs": counts, "lost": lost}


def _command(kind: str, folder: Path, seed: int) -> list[str]:
    train = ["train", "--out", str(folder), *_STEPS, *SMALL, f"seed={seed}"]
    return {
        "new": train,
        "resume": ["train", "--out", str(folder), "--resume", *_STEPS],
        "overwrite": [*train, "--overwrite"],
        "report": ["report", str(folder)],
        "generate": ["generate", str(folder), "--n", "4", "--out", f"{folder}-{seed}.png"],
    }[kind]


def _both(commands: list[list[str]], delay: float, said: Path) -> list[tuple[int, str]]:
    """Run two commands, the second somewhat later; return their exit statuses and errors."""
    ready, go = os.pipe()
    files = [said.with_suffix(f".{number}") for number in range(len(commands))]
    started: list[int] = []
    for number, command in enumerate(commands):

        def work(command: list[str] = command, wait: float = delay * number) -> int:
            os.close(go)
            os.read(ready, 1)
            time.sleep(wait)
            return main(command)

        started.append(_fork(work, files[number]))
    os.close(ready)
    os.close(go)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started]
    return [(status, file.read_text()) for status, file in zip(ends, files, strict=True)]


def _fork(work: Callable[[], int], errors: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        status = work()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _unclear(ends: list[tuple[int, str]]) -> list[str]:
    """What is wrong with how two commands ended: done, or refused with one line."""
    found: list[str] = []
    for status, said in ends:
        lines = [line for line in said.splitlines() if line.startswith("sngan: error: ")]
        is_clear = len(lines) == (status == 2) and "Traceback" not in said
        found += [f"status {status}, {said!r}"] * (status not in (0, 2) or not is_clear)
    return found


def _mixed(run: Path, whole: list[Path]) -> list[str]:
    """In what a run differs from the undisturbed one of its seed."""
    if not (run / "config.yaml").exists():
        return [f"left behind: {path}" for path in run.rglob("*")]
    locks = [run / ".sngan" / name for name in ("lock", "replaced")]
    left = [f"left behind: {path}" for path in locks if path.exists()]
    found = left + tiny_run.differences(run, whole[load(run).config.seed])
    # a report shows its own path, and times
    return [problem for problem in found if problem != "other content: report.html"]
