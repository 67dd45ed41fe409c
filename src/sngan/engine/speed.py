"""Speed of a run: how long it will take, and how many steps fit into a number of hours."""

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sngan import data
from sngan.config import Config
from sngan.config.presets import PRESETS
from sngan.data.own.batches import OwnStream
from sngan.distributed import collectives
from sngan.engine.fabric import make_fabric
from sngan.engine.setup import Plan
from sngan.engine.state import TrainState, restored_random_numbers
from sngan.engine.steps import train_step
from sngan.runs.networks import OwnNetworks
from sngan.utils.quiet import quiet_log
from sngan.utils.text import counted, rough_duration

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_HOUR = 3600.0
# records, pictures and checkpoints take some of the time
_SHARE_OF_STEPS = 0.95
# the first step allocates memory; on a GPU, and for points, the first steps are recorded
_FEW, _MANY = (1, 3), (20, 20)
_LONG_ENOUGH = 20.0
WORTH_A_LINE, WORTH_A_HINT = 60.0, 1800.0
_log = logging.getLogger("sngan")


def with_steps_for_hours(plan: Plan, fabric: "Fabric") -> Config:
    """Return the settings with the steps that fit into their hours, and without hours.

    The steps are measured on networks of their own, so the run is bit for bit that of
    ``--steps N``. All ranks call this.

    Parameters
    ----------
    plan
        The plan, whose unresolved settings are those that the user gave, with the preset.
    fabric
        The launched Fabric.
    """
    config = plan.unresolved
    if config.hours is None:
        return config
    seconds = seconds_per_step(
        replace(config, hours=None), plan.dataset, fabric, own=plan.own.networks
    )
    steps = max(1, int(_SHARE_OF_STEPS * _HOUR * config.hours / seconds))
    return replace(config, hours=None, steps=steps)


def seconds_per_step(
    config: Config,
    dataset: data.Dataset,
    fabric: "Fabric",
    *,
    own: OwnNetworks | None = None,
) -> float:
    """Time some steps of a state that is thrown away. All ranks call this, and get one result.

    An iterator of the caller's gives the batches of these steps again.

    Parameters
    ----------
    config
        The settings.
    dataset
        The data.
    fabric
        The launched Fabric.
    own
        Networks given as objects, of which copies are trained.
    """
    stream = dataset.stream
    with stream.on_trial() if isinstance(stream, OwnStream) else nullcontext():
        with quiet_log():
            state = TrainState.build(config, dataset, fabric, own=own)
        return _timed_steps(config, state)


def _timed_steps(config: Config, state: TrainState) -> float:
    """Return the seconds of a step, after the first steps, which take longer."""
    warm_up, timed = _counts(state)
    for _ in range(warm_up):
        train_step(config, state)
    _wait_for(state.runtime.device)
    started = time.perf_counter()
    done = 0
    while done < timed:
        train_step(config, state)
        done += 1
        passed = time.perf_counter() - started
        if collectives.broadcast_object(passed > _LONG_ENOUGH):
            break
    _wait_for(state.runtime.device)
    return collectives.broadcast_object((time.perf_counter() - started) / done)


class FirstSteps:
    """Times the first steps of a run, and says how long the whole run takes.

    Parameters
    ----------
    plan
        The settings and the data of the run.
    state
        The state that is trained; nothing in it changes.
    """

    def __init__(self, plan: Plan, state: TrainState) -> None:
        self._plan, self._state, self._is_new = plan, state, state.step == 0
        warm_up, timed = _counts(state)
        self._from, self._to = state.step + warm_up, state.step + warm_up + timed
        self._started = 0.0

    def line(self) -> str | None:
        """Return the line after the last timed step, and None after all others; for rank 0."""
        step, device = self._state.step, self._state.runtime.device
        if step == self._from:
            _wait_for(device)
            self._started = time.perf_counter()
        if step != self._to:
            return None
        _wait_for(device)
        left = self._plan.config.steps - step
        seconds = (time.perf_counter() - self._started) / (self._to - self._from) * left
        if seconds < WORTH_A_LINE:
            return None
        here = "GPU" if device.type == "cuda" else "CPU"
        line = f"{counted(left, 'step')} ≈ {rough_duration(seconds)} on this {here}"
        return line + (self._hint() if seconds > WORTH_A_HINT else "")

    def _hint(self) -> str:
        """Say how a long run on a CPU gets shorter; another size needs a new run."""
        laptop = self._as_laptop()
        if laptop is None:
            return "; --hours sets a budget"
        with restored_random_numbers(), quiet_log():
            fabric = make_fabric(laptop.performance)
            seconds = seconds_per_step(laptop, self._plan.dataset, fabric)
        return f"; --preset laptop ≈ {rough_duration(seconds * laptop.steps)}"

    def _as_laptop(self) -> Config | None:
        """Return the settings with the preset ``laptop``, if that is another and quicker run."""
        config, state = self._plan.config, self._state
        is_open = self._is_new and state.is_images and not config.performance.has_process_group
        if config.preset == "laptop" or not is_open or state.runtime.device.type != "cpu":
            return None
        if config.model.own or isinstance(self._plan.dataset.stream, OwnStream):
            # the preset makes only sngan's networks narrower, and an iterator gives a batch once
            return None
        preset = PRESETS["laptop"]
        try:
            return replace(
                config,
                model=replace(config.model, width=min(config.model.width, preset.width)),
                batch_size=preset.batch_size,
                steps=preset.steps,
            )
        except ValueError:
            # a setting such as the parts of a batch does not fit the smaller batch
            return None


def _counts(state: TrainState) -> tuple[int, int]:
    """Return how many first steps are left out, and how many are timed."""
    is_plain = state.is_images and state.runtime.device.type == "cpu"
    return _FEW if is_plain else _MANY


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
