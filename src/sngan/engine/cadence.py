"""Cadence: after which steps a run logs, draws pictures and saves, by steps or by time.

Rank 0 alone looks at the clock, because clocks differ and all ranks must do the same.
"""

import time

from sngan.config import Config
from sngan.config.intervals import Interval, seconds_of, steps_of
from sngan.distributed import collectives

# the first record and the first picture come within a minute, however many steps lie between two
FIRST_LOG, FIRST_PICTURE = 15.0, 40.0


class Timer:
    """When one kind of output is due: after the last step, by steps, by time, and once early.

    Parameters
    ----------
    every
        The steps or the time between two outputs.
    last_step
        The last step of the run.
    first
        The seconds after which the first output of this process comes; ``None``: none comes early.
    """

    def __init__(self, every: Interval, *, last_step: int, first: float | None = None) -> None:
        self._steps, self._seconds = steps_of(every, default=0), seconds_of(every)
        self._last_step, self._first = last_step, first
        self._since = time.monotonic()
        self.has_time_come = False

    def is_overdue(self) -> bool:
        """Whether the clock of this process says that the output is due."""
        times = [one for one in (self._seconds, self._first) if one is not None]
        return bool(times) and time.monotonic() - self._since >= min(times)

    def is_due(self, step: int) -> bool:
        """Whether the output is due after this step; if it is, its time starts again."""
        is_due = (
            self.has_time_come
            or (collectives.world_size() == 1 and self.is_overdue())
            or step == self._last_step
            or (self._steps > 0 and step % self._steps == 0)
        )
        if is_due:
            self._since, self._first, self.has_time_come = time.monotonic(), None, False
        return is_due


class Cadence:
    """The timers of a run's outputs, on which all ranks agree before each step."""

    def __init__(self, config: Config) -> None:
        last = config.steps
        self.log = Timer(config.log_every, last_step=last, first=FIRST_LOG)
        self.picture = Timer(config.sample_every, last_step=last, first=FIRST_PICTURE)
        self.save = Timer(config.save_every, last_step=last)
        self._timers = (self.log, self.picture, self.save)

    def agree(self, is_stopped: bool) -> bool:
        """Return whether any rank was asked to stop, and pass on what the clock of rank 0 says.

        All ranks call this before each step.
        """
        is_rank_zero = collectives.is_rank_zero()
        overdue = [is_rank_zero and timer.is_overdue() for timer in self._timers]
        stops, *come = collectives.all_reduce_any_of([is_stopped, *overdue])
        for timer, has_come in zip(self._timers, come, strict=True):
            timer.has_time_come = has_come
        return stops
