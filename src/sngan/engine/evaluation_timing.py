"""Evaluation timing: at which steps of a training its samples are evaluated."""

from collections.abc import Callable, Mapping
from typing import Any

from sngan.distributed import collectives

SHARE = 0.05
"""The part of the training time that automatic evaluations may take."""
_MOST = 20
# the seconds that the first evaluation may take; afterwards its own time is known
_FIRST_OF_IMAGES, _FIRST_OF_POINTS = 20.0, 3.0


class EvaluationTiming:
    """Decides after which steps a run is evaluated.

    With a number, ``evaluation.every``, the step alone decides. With ``auto`` there are at most 20
    candidates, at even distances. A candidate is used if the time of all evaluations, this one
    included, stays below 5 % of the time that the training steps took, and if enough is left for
    an evaluation after the last step. Times differ from machine to machine, and so do the steps
    that are evaluated. The training itself does not depend on them, because evaluations draw no
    random numbers of the training.

    Parameters
    ----------
    every
        The setting ``evaluation.every``.
    steps
        The steps of the run.
    is_images
        Whether the samples are images, whose first evaluation takes longer.
    """

    def __init__(self, every: int | str | None, *, steps: int, is_images: bool) -> None:
        self.is_automatic = every == "auto"
        spacing = max(1, -(-steps // _MOST)) if self.is_automatic else every
        self._every = spacing if isinstance(spacing, int) else None
        self._steps = steps
        self._spent = 0.0
        self._expected = _FIRST_OF_IMAGES if is_images else _FIRST_OF_POINTS

    def is_due(self, step: int, elapsed: Callable[[], float]) -> bool:
        """Return whether the run is evaluated after this step; all ranks get the same answer.

        Parameters
        ----------
        step
            The step that was just done.
        elapsed
            Returns the seconds of the run so far, evaluations included.
        """
        if self._every is None or (step % self._every and step != self._steps):
            return False
        if not self.is_automatic:
            return True
        # only the first rank evaluates and knows the time that this takes
        wanted = collectives.is_rank_zero() and self._is_affordable(step, elapsed())
        return collectives.all_reduce_any(wanted)

    def add(self, seconds: float) -> None:
        """Take in the time of an evaluation."""
        self._spent += seconds
        self._expected = seconds

    def remember(self, record: Mapping[str, Any]) -> None:
        """Take in the time of an evaluation of a resumed run, from its record."""
        seconds = record.get("evaluation_seconds")
        if isinstance(seconds, float):
            self.add(seconds)

    def _is_affordable(self, step: int, elapsed: float) -> bool:
        trained = elapsed - self._spent
        after = self._spent + self._expected
        if step == self._steps:
            return after <= SHARE * trained
        whole = trained * self._steps / step
        return after <= SHARE * trained and after + self._expected <= SHARE * whole
