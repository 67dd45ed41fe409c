"""Budget of a comparison: how many steps each method trains, so that all of them spend as much."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

import torch

from sngan.config import Config
from sngan.data import Dataset
from sngan.engine.state import TrainState
from sngan.engine.steps import train_step
from sngan.tasks.compare.trials import Trial, with_steps

Budget = Literal["steps", "critic-steps", "seconds"]
"""The kinds of budget that each method of a comparison can get."""
_WARM_UP, _TIMED, _SECONDS = 5, 15, 2.0


def critic_step_trials(trials: Sequence[Trial], budget: int, *, is_images: bool) -> list[Trial]:
    """Give each trial as many generator steps as ``budget`` critic steps allow, at least one.

    Parameters
    ----------
    trials
        The runs of the comparison.
    budget
        The critic steps of each run.
    is_images
        Whether the data are images, on which the recipes of some methods have more critic steps.
    """

    def steps_of(trial: Trial) -> int:
        method = trial.config.of_family(is_images=is_images).method
        return max(1, budget // method.n_critic)

    return [with_steps(trial, steps_of(trial)) for trial in trials]


def timed_trials(trials: Sequence[Trial], budget: int, speeds: Mapping[str, float]) -> list[Trial]:
    """Give each trial the steps that fit into the time of ``budget`` steps of the first speed.

    Parameters
    ----------
    trials
        The runs of the comparison.
    budget
        The generator steps of the method whose speed is the first.
    speeds
        The seconds of a step by :func:`speed_key`.
    """
    seconds = budget * next(iter(speeds.values()))
    return [
        with_steps(trial, max(1, round(seconds / speeds[speed_key(trial)]))) for trial in trials
    ]


def measured_speeds(
    trials: Sequence[Trial], dataset: Dataset, known: Mapping[str, float]
) -> dict[str, float]:
    """Time a step of each method and setting that is not known yet; the known ones stay."""
    speeds = dict(known)
    for trial in trials:
        if speed_key(trial) not in speeds:
            print(f"timing {trial.method}", flush=True)
            speeds[speed_key(trial)] = _seconds_per_step(trial.config, dataset)
    return speeds


def speed_key(trial: Trial) -> str:
    """The method and the setting of a trial."""
    return f"{trial.method} {trial.setting}"


def _seconds_per_step(config: Config, dataset: Dataset) -> float:
    """The median time of a generator step with its critic steps; a CPU counts its own time."""
    state = TrainState.build(config, dataset)
    device = state.runtime.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found: list[float] = []
    begun = clock()
    while len(found) < _WARM_UP + 1 or (
        len(found) < _WARM_UP + _TIMED and clock() - begun < _SECONDS
    ):
        before = clock()
        train_step(config, state)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(clock() - before)
    return median(found[_WARM_UP:])
