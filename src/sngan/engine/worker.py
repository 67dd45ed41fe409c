"""Worker of a run: one rank from the check of the run folder to the finished training."""

import logging
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sngan import config as configs
from sngan.config import Config
from sngan.distributed import collectives, rendezvous
from sngan.engine import resuming, speed
from sngan.engine.errors import TrainingError
from sngan.engine.fabric import RankFailedError
from sngan.engine.live_page import WritePage
from sngan.engine.log_file import log_held_out, logging_to, record_skipped
from sngan.engine.loop import run_loop
from sngan.engine.own_parts import OwnParts
from sngan.engine.setup import Plan, prepare, with_hours
from sngan.engine.state import TrainState
from sngan.runs import checkpoint
from sngan.runs.lock import locked
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.run import Run
from sngan.utils import consent
from sngan.utils.checks import require
from sngan.utils.signals import interrupt_at_once
from sngan.utils.text import class_and_line

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_log = logging.getLogger("sngan")
_is_training = threading.Lock()


def train_on_rank(
    fabric: "Fabric",
    config: Config,
    resume: bool,
    overwrite: bool,
    changed: bool,
    write_page: WritePage | None,
    own: OwnParts | None = None,
) -> Run | None:
    """Train on this rank. Return the run, or ``None`` if its networks belong to a process group.

    Parameters
    ----------
    fabric
        The launched Fabric.
    config
        The settings as the user gave them.
    resume
        Whether the run in the folder goes on.
    overwrite
        Whether a new run may replace the run in the folder.
    changed
        Whether a resumed run may have other settings and other data.
    write_page
        The function that writes the page of the run while it goes on.
    own
        Parts that are given as objects.
    """
    own = own or OwnParts()
    consent.restore(own.consent)
    folder = ManagedRunFolder(Path(config.out))
    # torchrun restarts the same command, which must then go on with its own run. It tells only the
    # node of the failed process, so all ranks ask each other.
    is_restarted = collectives.all_reduce_any(rendezvous.is_restarted() and folder.has_checkpoint())
    resume = resume or is_restarted
    collectives.raise_together(lambda: folder.check(resume=resume, overwrite=overwrite))
    with ExitStack() as stack:
        stack.enter_context(_one_training_at_a_time())
        collectives.raise_together(lambda: _lock(folder, stack))
        collectives.raise_together(lambda: folder.recover() if collectives.is_rank_zero() else None)
        if is_restarted:
            # the first start has measured how many steps the hours have, and saved the number
            config = replace(config, hours=None)
        with interrupt_at_once():
            plan = collectives.raise_together(
                lambda: prepare(
                    config,
                    folder,
                    fabric.device,
                    resume=resume,
                    overwrite=overwrite,
                    changed=changed,
                    own=own,
                )
            )
            plan = with_hours(plan, partial(speed.with_steps_for_hours, fabric=fabric))
        stack.enter_context(_begun_run(folder, plan.config, resume=resume))
        if collectives.is_rank_zero():
            stack.enter_context(logging_to(folder.files.claim(folder.LOG)))
            record_skipped(plan.dataset, folder)
            if changed or not resume:
                log_held_out(plan.config, plan.dataset)
        stack.enter_context(_errors_as_one_line(folder))
        state = _build_state(plan, fabric, folder)
        # drop the loaded state: every rank holds a full copy
        plan = replace(plan, checkpoint=None)
        if is_restarted:
            _log.warning("restarted by torchrun: goes on from step %d", state.step)
        if config.hours is not None:
            end = "hours %g: by some timed steps, the run and its schedules end at step %d"
            _log.info(end, config.hours, plan.config.steps)
        _log.info("step %d of %d, on %s", state.step, plan.config.steps, state.runtime.device)
        run_loop(plan, state, folder, write_page)
        _log.info("done: step %d", state.step)
    if config.performance.has_process_group:
        return None
    generator = state.average.module.eval().requires_grad_(False)
    return Run(folder.path, plan.config, generator)


@contextmanager
def _one_training_at_a_time() -> Generator[None]:
    """Refuse a second training in this process: all threads share torch's random numbers."""
    require(
        _is_training.acquire(blocking=False),
        "train",
        expected="one training at a time in a process (its threads share their random numbers)",
        got="a second one",
    )
    try:
        yield
    finally:
        _is_training.release()


def _lock(folder: ManagedRunFolder, stack: ExitStack) -> None:
    """Lock the run folder before anything is written; rank 0 holds the lock for all."""
    if collectives.is_rank_zero():
        stack.enter_context(locked(folder.path, wait=rendezvous.is_restarted()))


@contextmanager
def _begun_run(folder: ManagedRunFolder, config: Config, *, resume: bool) -> Generator[None]:
    """Prepare the folder for this run; undo that after an error before the first checkpoint."""

    def begin() -> None:
        if collectives.is_rank_zero():
            folder.begin(resume=resume)
            configs.save(config, folder.config)

    try:
        collectives.raise_together(begin)
        yield
    except BaseException:
        # torchrun starts the command again, which must find the run that it began
        if collectives.is_rank_zero() and not rendezvous.is_launched():
            folder.abandon()
        raise


@contextmanager
def _errors_as_one_line(folder: ManagedRunFolder) -> Generator[None]:
    """Write an error to the log, and raise it as one line that says where the log is."""
    try:
        yield
    except TrainingError as failure:
        # the error itself reaches the screen, so this line is not a warning
        _log.info("failed: %s", failure)
        raise
    except Exception as error:
        _log.info("failed", exc_info=True)
        line = class_and_line(error)
        if collectives.world_size() > 1:
            # torchrun may kill this process before the error reaches the screen
            _log.error("rank %d: %s; %s", collectives.rank(), line, folder.where_to_look)
            # the other ranks may not have failed, so this error must end them
            raise RankFailedError(f"rank {collectives.rank()}: {line}") from error
        raise TrainingError(f"{line}; {folder.where_to_look}") from error


def _build_state(plan: Plan, fabric: "Fabric", folder: ManagedRunFolder) -> TrainState:
    """Build the state, and load the checkpoint that the run goes on from."""
    # this import draws random numbers, so it must come before the seed and before a resumed state
    import rich.style  # noqa: F401  # pyright: ignore[reportUnusedImport]

    # the weights of a resumed run are in its checkpoint, and those that it began with may be gone
    is_new = plan.checkpoint is None
    config = plan.config if is_new else replace(plan.config, init=None)
    state = TrainState.build(config, plan.dataset, fabric, own=plan.own.networks)
    if plan.checkpoint is not None:
        loaded = resuming.load(state, plan.checkpoint, changed=plan.changed)
        if collectives.is_rank_zero():
            resuming.log_changes(plan.config, plan.checkpoint, plan.dataset)
            checkpoint.make_last(loaded, folder.files)
    return state
