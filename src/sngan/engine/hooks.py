"""Hooks of a training: calls the callbacks, and keeps the first error that one of them raises."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sngan.callbacks.callback import Callback, Training
from sngan.distributed import collectives
from sngan.engine.errors import TrainingError
from sngan.runs.layout import RunFolder
from sngan.utils.text import class_and_line

_log = logging.getLogger("sngan")


class Hooks:
    """Calls the hooks of callbacks. An error of one of them ends the training after its step.

    Parameters
    ----------
    callbacks
        The callbacks.
    training
        The object that every hook gets.
    """

    def __init__(self, callbacks: Sequence[Callback], training: Training) -> None:
        self._callbacks, self._training = list(callbacks), training
        self._steps = [one for one in callbacks if type(one).on_step is not Callback.on_step]
        self._failure = ""

    @property
    def is_stopping(self) -> bool:
        """Whether a callback of this rank asks for the end of the training, or has failed."""
        return bool(self._training.stop_reason or self._failure)

    def start(self) -> None:
        """Call ``on_start``."""
        self._call("on_start")

    def step(self, terms: Mapping[str, Tensor]) -> None:
        """Call ``on_step`` of the callbacks that have it."""
        for one in self._steps:
            self._call_one(one, "on_step", terms)

    def log(self, record: Mapping[str, Any]) -> None:
        """Call ``on_log``."""
        self._call("on_log", record)

    def picture(self, path: Path) -> None:
        """Call ``on_picture``."""
        self._call("on_picture", path)

    def evaluate(self, metrics: Mapping[str, float]) -> None:
        """Call ``on_evaluate``."""
        self._call("on_evaluate", metrics)

    def save(self, path: Path) -> None:
        """Call ``on_save``."""
        self._call("on_save", path)

    def end(self, error: BaseException | None) -> None:
        """Call ``on_end`` of all callbacks; an error of one is only a warning, at this place."""
        for one in self._callbacks:
            try:
                one.on_end(self._training, error)
            except Exception as failure:
                name = type(one).__name__
                _log.warning("callback %s failed in on_end: %s", name, class_and_line(failure))

    def finish(self, folder: RunFolder) -> None:
        """Say on all ranks why a callback has stopped the training.

        Raises
        ------
        TrainingError
            If a callback has failed on any rank.
        """
        failures, reasons = (
            collectives.all_gather_object(text)
            for text in (self._failure, self._training.stop_reason)
        )
        for failure in failures:
            if failure:
                raise TrainingError(f"{failure}; {folder.where_to_look}")
        for reason in filter(None, reasons):
            _log.info("stopped at step %d: %s", self._training.step, reason)
            if collectives.is_rank_zero():
                print(f"stopped at step {self._training.step}: {reason}")
            return

    def _call(self, hook: str, *given: Any) -> None:
        for one in self._callbacks:
            self._call_one(one, hook, *given)

    def _call_one(self, one: Callback, hook: str, *given: Any) -> None:
        if self._failure:
            # the run may be in a state that no callback expects
            return
        try:
            getattr(one, hook)(self._training, *given)
        except Exception as error:
            _log.info("callback failed", exc_info=True)
            self._failure = (
                f"callback {type(one).__name__} failed in {hook} at step {self._training.step}: "
                f"{class_and_line(error)}"
            )
