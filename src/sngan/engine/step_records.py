"""Records of steps: losses, rates, norms, times, transport and health, as one line of the log."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sngan.distributed import collectives
from sngan.engine.evaluation import measure_modes, measure_transport
from sngan.engine.health.figures import HealthFigures
from sngan.engine.setup import Plan
from sngan.engine.state import TrainState
from sngan.runs.log_record import LogRecord


class StepRecords:
    """Makes the records of a run. All ranks make them, because many figures communicate.

    Parameters
    ----------
    plan
        The settings and the data of the run.
    state
        The state that is trained.
    before
        The records of a resumed run.
    """

    def __init__(
        self, plan: Plan, state: TrainState, *, before: Iterable[Mapping[str, Any]]
    ) -> None:
        self._plan, self._state = plan, state
        self._health = HealthFigures(plan.config, plan.dataset)
        now = time.perf_counter()
        self._started = now - state.seconds
        self._timed_step, self._timed_at = state.step, now
        self._cpu_started = time.process_time()
        for record in before:
            if isinstance(cpu_seconds := record.get("cpu_seconds"), float):
                self._cpu_started = time.process_time() - cpu_seconds

    @property
    def seconds(self) -> float:
        """The seconds of the run so far, those before it was resumed included."""
        return time.perf_counter() - self._started

    def make(self, terms: Mapping[str, Tensor], sample: Callable[[int], Tensor]) -> LogRecord:
        """Return the record of the last step.

        Parameters
        ----------
        terms
            The losses and gradient norms of the step, on the device.
        sample
            Draws a number of samples from noise that never changes.
        """
        state, now = self._state, time.perf_counter()
        values: dict[str, Any] = read_terms(terms, average_ranks=True)
        values |= self._measure_transport() | measure_modes(sample, self._plan.dataset)
        return LogRecord(
            step=state.step,
            seconds=now - self._started,
            cpu_seconds=time.process_time() - self._cpu_started,
            **values,
            **state.scheduled.for_log(state.step - 1),
            steps_per_second=(state.step - self._timed_step) / (now - self._timed_at),
            sigma=read_terms(state.sigmas()),
            health=self._measure_health(),
        )

    def written(self) -> None:
        """Begin the time, and the steps, of the next record."""
        self._timed_step, self._timed_at = self._state.step, time.perf_counter()
        self._state.logged_step = self._state.step

    def _measure_transport(self) -> dict[str, float]:
        config, dataset = self._plan.config, self._plan.dataset
        classes = config.model.learned_classes
        return measure_transport(self._state, dataset, classes=classes, seed=config.seed)

    def _measure_health(self) -> dict[str, float] | None:
        step, since, extremes = self._state.step, self._state.logged_step, self._state.extremes
        if not self._health.is_due(step, since=since):
            return None
        found = read_terms(extremes.terms(), average_ranks=True)
        extremes.reset()
        weights = sum(weight.numel() for weight in self._state.generator.parameters())
        largest = found["generator_gradient_norm_largest"]
        found["generator_gradient_per_weight"] = largest / max(weights, 1) ** 0.5
        copies = self._health.is_due_for_copies(step, since=since)
        return found | self._health.measure(self._state, copies=copies)


def read_terms(terms: Mapping[str, Tensor], *, average_ranks: bool = False) -> dict[str, float]:
    """Read scalars from the device at once; with ``average_ranks``, their means over all ranks."""
    values = torch.stack([term.float() for term in terms.values()])
    if average_ranks:
        values = collectives.all_reduce_mean(values)
    return dict(zip(terms, values.tolist(), strict=True))
