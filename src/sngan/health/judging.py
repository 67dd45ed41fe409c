"""Judging: the records that a finding needs, and the quality of samples by which it judges."""

from typing import NamedTuple

import numpy as np

from sngan.health.finding import Unjudged
from sngan.health.history import History, Series
from sngan.health.statistics import rolling_median

LEAST = 5
"""The number of records with figures of health that a finding needs."""

# energy distances of images below this value are noise of the few samples
_NOISE = 0.02
_FLOOR = 1.25


class Quality(NamedTuple):
    """A distance between generated and real samples, and the value below which it is noise."""

    name: str
    series: Series
    floor: float

    @property
    def smooth(self) -> Series:
        """The rolling median, at least the floor."""
        values = np.maximum(rolling_median(self.series.values), self.floor)
        return Series(self.series.steps, values)


def quality(history: History) -> Quality:
    """Return W1 of points, or the energy distance of images; better samples have less of both."""
    if "w1" in history:
        floor = history["w1_floor"].last if "w1_floor" in history else 0.0
        return Quality("w1", history["w1"], max(_FLOOR * floor, 1e-9))
    return Quality("energy", history["energy"], _NOISE)


def unjudged(name: str, history: History, *needed: str, least: int = LEAST) -> Unjudged | None:
    """Return why a finding cannot be judged; ``None`` if it can.

    Parameters
    ----------
    name
        The finding.
    history
        The records of the run.
    needed
        The series that the finding needs.
    least
        The fewest records of each.
    """
    absent = [one for one in needed if one not in history]
    if absent:
        return Unjudged(name, f"the run did not record {', '.join(absent)}")
    fewest = min(len(history[one]) for one in needed)
    if fewest < least:
        return Unjudged(name, f"needs {least} records of {', '.join(needed)}, got {fewest}")
    return None
