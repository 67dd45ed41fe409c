"""Callback: hooks that a training calls, and the training as they see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sngan.config import Config


@dataclass(kw_only=True)
class Training:
    """A training, as the hooks of a :class:`Callback` see it.

    Attributes
    ----------
    config
        The settings, with everything filled in.
    folder
        The run folder.
    state
        The :class:`sngan.engine.TrainState`: networks, optimizers, sampler. A hook may read it. It
        may change tensors in place; a tensor or network that it replaces by another one is not
        trained.
    rank, world_size
        The number of this process, and the number of all processes.
    stop_reason
        Why a callback stops the training; empty if none does.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from sngan.callbacks import Training
    >>> state = SimpleNamespace(step=7)  # in a run, a TrainState
    >>> training = Training(config=Config(data="ring8"), folder=Path("run"), state=state)
    >>> training.stop("the loss is low enough")
    >>> training.step, training.is_rank_zero, training.stop_reason
    (7, True, 'the loss is low enough')
    """

    config: Config
    folder: Path
    state: Any
    rank: int = 0
    world_size: int = 1
    stop_reason: str = field(default="", init=False)

    @property
    def step(self) -> int:
        """The number of generator steps that are done."""
        return self.state.step

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process is the only one that writes and prints."""
        return self.rank == 0

    def stop(self, reason: str) -> None:
        """End the training after this step: it saves a checkpoint, and ``sngan.train`` returns.

        One process is enough: all of them stop at the same step. The run can be resumed.
        """
        self.stop_reason = self.stop_reason or reason


class Callback:
    """Hooks that a training calls. A subclass defines those that it needs.

    ====================  ==========  ==============================================================
    hook                  ranks       when, and what it gets
    ====================  ==========  ==============================================================
    ``on_start``          all         before the first step, after a checkpoint was loaded
    ``on_step``           all         after each step; its losses and gradient norms, on the device
    ``on_log``            rank 0      after a record was written; the record, as in metrics.jsonl
    ``on_picture``        rank 0      after a picture was saved; its path
    ``on_evaluate``       rank 0      after an evaluation; its metrics
    ``on_save``           rank 0      after a checkpoint was saved; its path
    ``on_end``            all         at the end; the error that ended the training, or None
    ====================  ==========  ==============================================================

    Each hook gets the :class:`Training` first, and may call its ``stop``. A hook that raises ends
    the training after this step: a checkpoint is saved, and the error is one line that names the
    callback. Reading a value of ``on_step`` waits for the device, which makes training slower. With
    several processes a callback is copied to each of them, so it must be possible to pickle it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> class StopAtTwo(sngan.callbacks.Callback):
    ...     def on_step(self, training, terms):
    ...         if training.step == 2:
    ...             training.stop("two steps are enough")
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=9, batch_size=8, out=f"{folder}/run")
    ...     run = sngan.train(config, callbacks=[StopAtTwo()])
    stopped at step 2: two steps are enough
    """

    def on_start(self, training: Training) -> None:
        """Begin."""

    def on_step(self, training: Training, terms: Mapping[str, Tensor]) -> None:
        """Follow a step; ``terms`` are scalar tensors that the next step overwrites."""

    def on_log(self, training: Training, record: Mapping[str, Any]) -> None:
        """Follow a record of numbers, and of mappings of numbers."""

    def on_picture(self, training: Training, path: Path) -> None:
        """Follow a picture of samples."""

    def on_evaluate(self, training: Training, metrics: Mapping[str, float]) -> None:
        """Follow an evaluation."""

    def on_save(self, training: Training, path: Path) -> None:
        """Follow a checkpoint."""

    def on_end(self, training: Training, error: BaseException | None) -> None:
        """End."""
