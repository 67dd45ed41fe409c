"""Outputs of a run while it trains: records, sample grids, evaluations, checkpoints."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sngan import config as configs
from sngan.callbacks.callback import Training
from sngan.config.intervals import steps_of
from sngan.distributed import collectives
from sngan.engine import resuming
from sngan.engine.evaluation import certify
from sngan.engine.evaluation_timing import EvaluationTiming
from sngan.engine.health.watch import HealthWatch
from sngan.engine.hooks import Hooks
from sngan.engine.live_page import LivePage, WritePage
from sngan.engine.nan_guard import NanGuard, not_finite_error
from sngan.engine.real_samples import save_real_samples
from sngan.engine.sampling import gather_average, sample_average
from sngan.engine.setup import Plan
from sngan.engine.state import TrainState
from sngan.engine.step_records import StepRecords
from sngan.runs import checkpoint, sample_grid
from sngan.runs.layout import checkpoint_name, is_kept
from sngan.runs.log_record import LogRecord
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.records import Recorder, iter_records
from sngan.runs.weights import save_generator
from sngan.utils.plain import flatten
from sngan.utils.progress import Progress

_GRID_IMAGES, _SCATTER_POINTS = 64, 2000
_log = logging.getLogger("sngan")


@contextmanager
def open_outputs(
    plan: Plan, state: TrainState, folder: ManagedRunFolder, write_page: WritePage | None = None
) -> "Generator[Outputs]":
    """Open the outputs of a run that starts, or goes on, at ``state.step``.

    Parameters
    ----------
    plan
        The settings, the data and the evaluation of the run.
    state
        The state that is written to checkpoints and sampled.
    folder
        The run folder.
    write_page
        The function that writes the page of the run while it goes on.
    """
    config = plan.config
    with ExitStack() as stack:
        recorder = None
        if collectives.is_rank_zero():
            folder.files.claim(folder.METRICS)
            every = steps_of(config.log_every, default=0) if plan.keeps_cadence else 0
            given = flatten(configs.to_dict(config))
            with folder.files.recording("."):
                recorder = Recorder(folder.path, start=state.step, every=every, settings=given)
            stack.enter_context(recorder)
        progress = stack.enter_context(Progress(total=config.steps, start=state.step))
        page = LivePage(write_page if recorder else None, folder.path)
        outputs = Outputs(plan, state, folder, recorder=recorder, progress=progress, page=page)
        stack.push(outputs.end)
        yield outputs


@dataclass
class Outputs:
    """Everything that a run shows and writes while it trains.

    All ranks call the same methods, because many of them communicate. Only rank 0 has a recorder,
    and only rank 0 writes.
    """

    plan: Plan
    state: TrainState
    folder: ManagedRunFolder
    recorder: Recorder | None = field(kw_only=True)
    progress: Progress = field(kw_only=True)
    page: LivePage = field(kw_only=True)

    def __post_init__(self) -> None:
        training = Training(
            config=self.plan.config,
            folder=self.folder.path,
            state=self.state,
            rank=collectives.rank(),
            world_size=collectives.world_size(),
        )
        self.hooks = Hooks(self.plan.own.callbacks, training)
        self._guard = NanGuard(self.state.runtime.device)
        self._terms: dict[str, Tensor] = {}
        before = list(iter_records(self.folder.path))
        records = () if self.recorder is None else before
        self._watch = HealthWatch(self.plan.config, records, log=self.folder.log)
        if self.plan.evaluation is not None:
            self.plan.evaluation.remember(before)
        self._records = StepRecords(self.plan, self.state, before=before)
        self._timing = EvaluationTiming(
            self.plan.config.evaluation.every,
            steps=self.plan.config.steps,
            is_images=self.plan.dataset.is_images,
        )
        for record in before:
            self._timing.remember(record)

    def start(self) -> None:
        """Write the first samples and checkpoint of a new run, and the generator of any run."""
        if self.state.step == 0:
            self.save_samples()
            self.save_checkpoint()
        if self.recorder is not None:
            n = _GRID_IMAGES if self.plan.dataset.is_images else _SCATTER_POINTS
            save_real_samples(self.plan.dataset, self.folder, most=n)
        # a killed run may have left no generator file, or that of another step
        self.save_generator()

    def end(self, _: object, error: BaseException | None, __: object) -> None:
        """Tell the callbacks that the training has ended."""
        self.hooks.end(error)

    def follow(self, terms: dict[str, Tensor]) -> None:
        """Keep the losses of a step for the next record, without waiting for the device."""
        self._terms = terms
        self._guard.update(terms, self.state.step)
        self.state.extremes.update(terms)
        self.progress.advance(self.state.step)

    def say(self, line: Callable[[], str | None]) -> None:
        """Show and log what ``line()`` returns, if anything; only rank 0 calls it."""
        text = line() if self.recorder is not None else None
        if text is not None:
            self.progress.note(text)
            _log.info("%s", text)

    def log(self) -> None:
        """Record the last step on disk and on the screen.

        Raises
        ------
        TrainingError
            If a loss or gradient was not finite since the last call.
        """
        self._require_finite()
        record = self._records.make(self._terms, self._sample)
        if self.recorder is not None:
            self._record(record)
            self.progress.log(record.to_dict())
            self.hooks.log(record.to_dict())
        self.page.update()
        self._records.written()

    def save_samples(self) -> None:
        """Write a grid of images, or a scatter of points, from noise that never changes."""
        if self.recorder is None:
            gather_average(self.state.average)
            return
        dataset = self.plan.dataset
        n = _GRID_IMAGES if dataset.is_images else _SCATTER_POINTS
        samples = self._sample(n)
        try:
            path = self.folder.files.claim(self.folder.sample_grid_name(self.state.step))
        except ValueError as error:
            # a missing grid must not end the training
            _log.warning("no picture of step %d: %s", self.state.step, error)
            return
        # points are drawn in front of real ones
        reference = None if dataset.is_images else dataset.samples[:_SCATTER_POINTS]
        sample_grid.save_samples(samples, path, reference=reference)
        self.recorder.add_picture(path, self.state.step)
        self.page.update()
        self.hooks.picture(path)

    def is_evaluation_due(self) -> bool:
        """Whether samples are evaluated after this step."""
        return self._timing.is_due(self.state.step, lambda: self._records.seconds)

    def evaluate(self) -> None:
        """Record the metrics of samples, and keep this checkpoint if it is the best so far."""
        self._require_finite()
        begun = time.perf_counter()
        state, evaluation = self.state, self.plan.evaluation
        values, is_best = {}, False
        if evaluation is None:
            gather_average(state.average)
        else:
            values = evaluation.measure(self._sample(evaluation.num_samples))
            is_best = evaluation.is_best(values)
        if collectives.all_reduce_any(is_best):
            with self._listing_checkpoints(self.folder.BEST):
                checkpoint.write(state.state_dict(), self.folder.best_checkpoint, **self._beside())
            self.save_generator(is_best=True)
        if self.recorder is None or evaluation is None:
            return
        seconds = time.perf_counter() - begun
        self._timing.add(seconds)
        if not values:
            return
        self._record(LogRecord(state.step, evaluation=values, evaluation_seconds=seconds))
        value = values.get(evaluation.metric, float("nan"))
        self.progress.note(f"step {state.step}: {evaluation.metric} {value:.4g}")
        self.hooks.evaluate(values)

    def save(self) -> None:
        """Write the generator, then a checkpoint. After the last step, first certify the critic.

        The checkpoint is written after everything else of this step: a run that was killed in
        between goes on from the older checkpoint, and makes the missing files again.
        """
        self._require_finite()
        if self.state.step == self.plan.config.steps:
            certify(self.state)
        self.save_generator()
        self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Write the state, after the records of its steps are safe on the disk."""
        self.state.seconds = self._records.seconds
        if self.recorder is not None:
            self.recorder.flush()
        previous = [self.folder.PREVIOUS] if self.folder.last_checkpoint.exists() else []
        with self._listing_checkpoints(self.folder.LAST, *previous):
            checkpoint.rotate(
                self.state.state_dict(),
                self.folder.checkpoints,
                keep_every=self._claimed_interval(),
                **self._beside(),
            )
        if self.recorder is not None:
            self.folder.files.delete_set_aside()
            self.hooks.save(self.folder.last_checkpoint)

    def save_generator(self, *, is_best: bool = False) -> None:
        """Write the averaged generator, to the file of the last step or of the best one."""
        generator = gather_average(self.state.average)
        if self.recorder is not None:
            name = self.folder.BEST_GENERATOR if is_best else self.folder.GENERATOR
            self.folder.files.claim(name)
            save_generator(generator, self.folder.path, self.plan.config, is_best=is_best)

    def _sample(self, n: int) -> Tensor:
        """Draw samples from noise and classes that never change."""
        config = self.plan.config
        classes, dim = config.model.learned_classes, config.model.latent_dim
        return sample_average(
            self.state.average, n, classes=classes, seed=config.seed, latent_dim=dim
        )

    def _record(self, record: LogRecord) -> None:
        """Write a record, and log what it tells about the run's health; only on rank 0."""
        if self.recorder is not None:
            self.recorder.log(record.to_dict())
            self._watch.follow(record.to_dict())

    def _require_finite(self) -> None:
        """Record a term that was not finite, and raise.

        Raises
        ------
        TrainingError
            If a loss or gradient was not finite since the last call.
        """
        found = self._guard.first()
        if found is None:
            return
        step, name = found
        self._record(LogRecord(step, not_finite={name: float(step)}))
        raise not_finite_error(step, name, self.folder)

    def _claimed_interval(self) -> int | None:
        """Return ``keep_every``; None if this step's file would replace one of somebody else."""
        step, keep_every = self.state.step, self.plan.config.keep_every
        if self.recorder is not None and is_kept(step, keep_every):
            try:
                self.folder.claim_checkpoint(checkpoint_name(step))
            except ValueError as error:
                # one checkpoint less must not end the training
                _log.warning("step %d is not kept: %s", step, error)
                return None
        return keep_every

    def _beside(self) -> dict[str, Any]:
        """Return what a checkpoint is written with, beside the state."""
        settings = resuming.settings_to_save(self.plan.config)
        return {"settings": settings, "files": self.folder.files}

    def _listing_checkpoints(self, *names: str) -> AbstractContextManager[None]:
        """List checkpoints of these names, and files that the context writes, on rank 0."""
        if self.recorder is None:
            return nullcontext()
        self.folder.claim_checkpoint(*names)
        return self.folder.files.recording(self.folder.CHECKPOINTS)
