"""Runs that are killed at a call that writes, and go on: one process forks for each kill.

``kill_runs`` runs in a process of one thread, because a fork loses all others.
"""

import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

from helpers import calls, tiny_run
from sngan.engine import train as training

_RESUMES = 60
_TORN = 0.4


def kill_runs(folder: Path, count: int, seed: int) -> dict[str, object]:
    """Kill ``count`` times, at every kind of call; return how many and what was lost."""
    chance = random.Random(seed)
    source = tiny_run.pictures(folder / "pictures.npz")
    whole, counted = folder / "whole", folder / "counted"
    training.train(tiny_run.config_of(whole, source))
    with calls.interposed(lambda _: None) as all_calls:
        training.train(tiny_run.config_of(counted, source))
    places = [call.number for call in all_calls if not call.is_write]
    chance.shuffle(places)
    writes = [call.number for call in all_calls if call.is_write]
    kills, lost = 0, list[str]()
    while kills < count:
        is_torn = chance.random() < _TORN
        at = chance.choice(writes) if is_torn or not places else places.pop()
        run = folder / "run"
        kills += _killed(run, source, calls.killing(at, torn=is_torn))
        while kills < count and chance.random() < 0.3:
            # in what a start repairs, or on the way again
            again = chance.randint(1, _RESUMES if chance.random() < 0.7 else len(all_calls))
            kills += _killed(run, source, calls.killing(again))
        problem = _told(lambda run=run: _finished(run, source, whole), folder / "problem")
        lost += [f"{all_calls[at - 1]}: {problem}"] * bool(problem)
        shutil.rmtree(run)
    return {"kills": kills, "calls": len(all_calls), "lost": lost}


def _killed(run: Path, source: str, act: calls.Act) -> bool:
    def work() -> None:
        with calls.interposed(act):
            tiny_run.finish(run, source)

    return _forked(work) == -signal.SIGKILL


def _finished(run: Path, source: str, whole: Path) -> str:
    return "; ".join(
        filter(None, [tiny_run.finish(run, source), *tiny_run.differences(run, whole)])
    )


def _told(work: Callable[[], str], path: Path) -> str:
    """What the work returns, done in a process of its own, or how it failed."""

    def write() -> None:
        try:
            answer = work()
        except BaseException:
            answer = traceback.format_exc()
        path.write_text(answer)

    status = _forked(write)
    return path.read_text() if status == 0 else f"status {status}"


def _forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
