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
from sngan.tasks.compare.measure import failed, measure
from sngan.tasks.compare.planning import Planned
from sngan.tasks.train import train
from sngan.utils.files import remove_if_empty

Done = Callable[[Planned, dict[str, Any]], None]


def execute(planned: Sequence[Planned], *, done: Done) -> list[dict[str, Any]]:
    """Return a row for each run, in order; ``done`` hears of each as it ends."""
    devices = _devices(planned)
    if len(devices) > 1:
        return _side_by_side(planned, devices, done=done)
    rows: list[dict[str, Any]] = []
    for run in planned:
        rows.append(_row(run))
        done(run, rows[-1])
    return rows


def is_done(run: Planned) -> bool:
    """Whether a run is trained and measured."""
    return (run.folder / MEASURED).is_file()


def _row(run: Planned) -> dict[str, Any]:
    try:
        if not is_done(run):
            _train(run)
        return measure(run)
    except FolderInUseError:
        # another process trains this run: it has not failed
        raise
    except (TrainingError, ValueError) as error:
        return failed(run, error)


def _train(run: Planned) -> None:
    # of any kind: a run may have been killed between two renames
    resume = RunFolder(run.folder).has_checkpoint()
    if not resume:
        # a start that was killed at once may have left these
        remove_if_empty(run.folder / SAMPLES)
        remove_if_empty(run.folder)
    print(f"{'going on with' if resume else 'training'} {run}", flush=True)
    train(run.config, resume=resume)


def _devices(planned: Sequence[Planned]) -> list[str]:
    """The GPUs to share out, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if planned[0].config.performance.device not in ("auto", "cuda"):
        return []
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(index) for index in range(torch.cuda.device_count())]


def _side_by_side(
    planned: Sequence[Planned], devices: Sequence[str], *, done: Done
) -> list[dict[str, Any]]:
    context = get_context("spawn")
    free: Any = context.Queue()
    for device in devices:
        free.put(device)
    rows: dict[Path, dict[str, Any]] = {}
    pool = ProcessPoolExecutor(len(devices), context, initializer=_take_device, initargs=(free,))
    try:
        futures = {pool.submit(_row, run): run for run in planned}
        for future in as_completed(futures):
            run = futures[future]
            rows[run.folder] = future.result()
            done(run, rows[run.folder])
    except BrokenProcessPool as error:
        raise TrainingError(f"a run's process died ({error}); the same command goes on") from error
    finally:
        # Ctrl-C reaches the runs too: each saves its checkpoint first
        pool.shutdown(wait=True, cancel_futures=True)
    return [rows[run.folder] for run in planned]


def _take_device(free: Any) -> None:
    # before this process first asks for CUDA; its progress bar would break the others'
    os.environ["CUDA_VISIBLE_DEVICES"] = free.get()
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
