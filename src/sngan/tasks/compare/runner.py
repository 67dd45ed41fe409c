"""Runs one after another, or side by side on several GPUs; done ones are left alone."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from sngan.engine.train import TrainingError
from sngan.runs.layout import RunFolder
from sngan.runs.lock import FolderInUseError
from sngan.runs.names import MEASURED, SAMPLES
from sngan.tasks.compare.evaluation import evaluate_trial, failed
from sngan.tasks.compare.trials import Trial
from sngan.tasks.train import train
from sngan.utils.files import remove_if_empty

OnDone = Callable[[Trial, dict[str, Any]], None]


def run_trials(trials: Sequence[Trial], *, on_done: OnDone) -> list[dict[str, Any]]:
    """Return a row for each run, in order; ``on_done`` hears of each as it ends."""
    devices = _devices(trials)
    if len(devices) > 1:
        return _side_by_side(trials, devices, on_done=on_done)
    rows: list[dict[str, Any]] = []
    for trial in trials:
        rows.append(_row(trial))
        on_done(trial, rows[-1])
    return rows


def is_finished(trial: Trial) -> bool:
    """Whether a run is trained and measured."""
    return (trial.folder / MEASURED).is_file()


def _row(trial: Trial) -> dict[str, Any]:
    try:
        if not is_finished(trial):
            _train(trial)
        return evaluate_trial(trial)
    except FolderInUseError:
        # another process trains this trial: it has not failed
        raise
    except (TrainingError, ValueError) as error:
        return failed(trial, error)


def _train(trial: Trial) -> None:
    # of any kind: a run may have been killed between two renames
    resume = RunFolder(trial.folder).has_checkpoint()
    if not resume:
        # a start that was killed at once may have left these
        remove_if_empty(trial.folder / SAMPLES)
        remove_if_empty(trial.folder)
    print(f"{'going on with' if resume else 'training'} {trial}", flush=True)
    train(trial.config, resume=resume)


def _devices(trials: Sequence[Trial]) -> list[str]:
    """The GPUs to share out, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if trials[0].config.performance.device not in ("auto", "cuda"):
        return []
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(index) for index in range(torch.cuda.device_count())]


def _side_by_side(
    trials: Sequence[Trial], devices: Sequence[str], *, on_done: OnDone
) -> list[dict[str, Any]]:
    context = get_context("spawn")
    free: Any = context.Queue()
    for device in devices:
        free.put(device)
    rows: dict[Path, dict[str, Any]] = {}
    pool = ProcessPoolExecutor(len(devices), context, initializer=_take_device, initargs=(free,))
    try:
        futures = {pool.submit(_row, trial): trial for trial in trials}
        for future in as_completed(futures):
            trial = futures[future]
            rows[trial.folder] = future.result()
            on_done(trial, rows[trial.folder])
    except BrokenProcessPool as error:
        raise TrainingError(f"a run's process died ({error}); the same command goes on") from error
    finally:
        # Ctrl-C reaches the runs too: each saves its checkpoint first
        pool.shutdown(wait=True, cancel_futures=True)
    return [rows[trial.folder] for trial in trials]


def _take_device(free: Any) -> None:
    # before this process first asks for CUDA; its progress bar would break the others'
    os.environ["CUDA_VISIBLE_DEVICES"] = free.get()
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
