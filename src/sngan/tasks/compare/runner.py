"""Runner of a comparison: trials one after another, or side by side on several GPUs."""

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
from sngan.report.results import RunResult
from sngan.runs.layout import RunFolder
from sngan.runs.lock import FolderInUseError
from sngan.tasks.compare.evaluation import evaluate_trial, failed_result
from sngan.tasks.compare.trials import Trial
from sngan.tasks.train import train
from sngan.utils import consent
from sngan.utils.files import remove_if_empty

OnDone = Callable[[Trial, RunResult], None]


def run_trials(trials: Sequence[Trial], *, on_done: OnDone) -> list[RunResult]:
    """Train and evaluate each trial that is not finished; return a result for each, in order.

    ``on_done`` is called with each trial and its result as soon as the trial has ended.
    """
    devices = _devices(trials)
    if len(devices) > 1:
        return _side_by_side(trials, devices, on_done=on_done)
    results: list[RunResult] = []
    for trial in trials:
        results.append(_result(trial))
        on_done(trial, results[-1])
    return results


def is_finished(trial: Trial) -> bool:
    """Whether a run is trained and evaluated."""
    return RunFolder(trial.folder).measured.is_file()


def _result(trial: Trial) -> RunResult:
    try:
        if not is_finished(trial):
            _train(trial)
        return evaluate_trial(trial)
    except FolderInUseError:
        # another process trains this run, so it has not failed
        raise
    except (TrainingError, ValueError) as error:
        return failed_result(trial, error)


def _train(trial: Trial) -> None:
    # a checkpoint of any name counts: the run may have been killed between two renames
    resume = RunFolder(trial.folder).has_checkpoint()
    if not resume:
        # a run that was killed right after its start may have left these empty folders
        remove_if_empty(RunFolder(trial.folder).samples)
        remove_if_empty(trial.folder)
    print(f"{'going on with' if resume else 'training'} {trial}", flush=True)
    train(trial.config, resume=resume)


def _devices(trials: Sequence[Trial]) -> list[str]:
    """The GPUs that the trials can use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if trials[0].config.performance.device not in ("auto", "cuda"):
        return []
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(index) for index in range(torch.cuda.device_count())]


def _side_by_side(
    trials: Sequence[Trial], devices: Sequence[str], *, on_done: OnDone
) -> list[RunResult]:
    context = get_context("spawn")
    free: Any = context.Queue()
    for device in devices:
        free.put(device)
    results: dict[Path, RunResult] = {}
    pool = ProcessPoolExecutor(
        len(devices), context, initializer=_take_device, initargs=(free, consent.consent())
    )
    try:
        futures = {pool.submit(_result, trial): trial for trial in trials}
        for future in as_completed(futures):
            trial = futures[future]
            results[trial.folder] = future.result()
            on_done(trial, results[trial.folder])
    except BrokenProcessPool as error:
        raise TrainingError(f"a run's process died ({error}); the same command goes on") from error
    finally:
        # Ctrl-C reaches the processes of the runs too, and each first saves its checkpoint
        pool.shutdown(wait=True, cancel_futures=True)
    return [results[trial.folder] for trial in trials]


def _take_device(free: Any, given: consent.Consent) -> None:
    consent.restore(given)
    # the variable has to be set before this process first uses CUDA; output is discarded, because a
    # progress bar would break the bars of the other processes
    os.environ["CUDA_VISIBLE_DEVICES"] = free.get()
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
