"""Runs on a disk that fails at one call, or from it on: what is said, left and made good."""

import errno
import os
import re
import shutil
from pathlib import Path

import torch

from helpers import calls, tiny_run
from helpers.tally import Tally
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.runs import sample_grid as pictures
from sngan.runs.records import Recorder
from sngan.utils.files import is_temporary
from sngan.utils.tensor_files import write_tensors

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)
_CLEANING = ("unlink", "remove", "rmdir")


def fail_once(
    run: Path,
    source: str,
    whole: Path,
    *,
    at: int,
    number: int,
    torn: bool,
    for_ever: bool,
    counted: Tally,
) -> None:
    """Let a run fail at a call and go on; count what is wrong with its error or its files."""
    act = calls.failing(at, number, torn=torn, for_ever=for_ever)
    failure: Exception | None = None
    with calls.interposed(act) as made:
        try:
            lost = tiny_run.finish(run, source)
        except (training.TrainingError, OSError) as error:
            lost, failure = "", error
        except Exception as error:
            lost = f"an error of another kind: {error!r}"
    call = made[at - 1] if at <= len(made) else None
    wrong, silent = [lost] * bool(lost), list[str]()
    if failure is not None:
        wrong += _unclear(failure, number, run)
        if call is not None and call.name not in _CLEANING and not for_ever:
            wrong += [f"left: {path}" for path in run.rglob("*") if is_temporary(path)]
    elif os.strerror(number) not in (run / "train.log").read_text():
        silent = tiny_run.differences(run, whole)
    wrong += _damaged(run)
    lost = tiny_run.finish(run, source)
    wrong += [lost] * bool(lost) + tiny_run.differences(run, whole)
    shutil.rmtree(run)
    _count(counted, f"{call} {errno.errorcode[number]}", wrong, silent)


def _count(counted: Tally, fault: str, wrong: list[str], silent: list[str]) -> None:
    counted.tried += 1
    counted.lost += [f"{fault}: {problem}" for problem in wrong]
    counted.silent += [f"{fault}: {problem}" for problem in silent]


def _unclear(failure: Exception, number: int, run: Path) -> list[str]:
    """The error says the reason and the path; after the start also the log and a checkpoint."""
    text = str(failure)
    says_all = re.search(rf"\[Errno {number}\] {os.strerror(number)}: '{re.escape(str(run))}", text)
    if not says_all:
        return [f"unclear: {failure!r}"]
    if isinstance(failure, training.TrainingError) and not (
        f"log: {run}" in text and f"last checkpoint: {run}" in text
    ):
        return [f"no whereabouts: {failure!r}"]
    return []


def _damaged(run: Path) -> list[str]:
    found: list[str] = []
    for path in (run / "checkpoints").glob("*.pt"):
        try:
            checkpoint.read(path)
        except ValueError as error:
            found.append(str(error))
    return found


def save(folder: Path, step: int) -> None:
    """Save what a run does at a step, in its order."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    weights = torch.arange(20.0) + step
    with Recorder(folder, start=step - 1) as recorder:
        recorder.log({"step": step, "critic_loss": float(step)})
        pictures.save_samples(torch.zeros(4, 1, 8, 8), folder / "samples" / f"step-{step:06d}.png")
        write_tensors({"weight": weights}, folder / "generator.safetensors")
        recorder.flush()
        checkpoint.rotate({"step": step, "weights": weights}, folder / "checkpoints", keep_every=2)


def fail_save(
    before: Path, after: Path, step: int, run: Path, *, act: calls.Act, counted: Tally
) -> None:
    """Let one save fail that leads from ``before`` to ``after``, then do it again."""
    shutil.copytree(before, run, dirs_exist_ok=True)
    wrong, silent = list[str](), list[str]()
    with calls.interposed(act) as made:
        try:
            save(run, step)
        except OSError as error:
            is_clear = error.filename is not None and str(error.filename).startswith(str(run))
            wrong += [] if is_clear else [f"unclear: {error!r}"]
        else:
            silent = tiny_run.differences(run, after)
    wrong += [f"left: {path}" for path in run.rglob("*") if is_temporary(path)]
    wrong += _damaged(run)
    found = checkpoint.find_newest(run / "checkpoints")
    if found.problems or found.state["step"] not in (step - 1, step):
        wrong.append(f"lost: {found.problems}, at step {found.state['step']}")
    if found.state["step"] < step:
        save(run, step)
    wrong += tiny_run.differences(run, after)
    shutil.rmtree(run)
    _count(counted, f"{made[-1]}", wrong, silent)
