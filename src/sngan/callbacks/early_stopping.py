"""Early stopping: a training ends when a metric of its evaluations no longer improves."""

import math
from collections.abc import Mapping

from typing_extensions import override

from sngan.callbacks.callback import Callback, Training
from sngan.runs.records import iter_records
from sngan.utils.checks import require, require_count, require_number, require_one_of


class EarlyStopping(Callback):
    """Stops a training after ``patience`` evaluations without a better value of a metric.

    The run needs evaluations: ``evaluation.every``. The checkpoint with the best value of
    ``evaluation.best`` stays as ``best.pt``. A resumed run counts on from its records.

    Parameters
    ----------
    metric
        The metric, such as ``frechet`` or ``w1``.
    patience
        The number of evaluations in a row without a better value.
    least_change
        A value counts as better if it is better by more than this.

    Raises
    ------
    ValueError
        If the metric is unknown, or a number is out of range.

    Examples
    --------
    >>> import sngan
    >>> stopping = sngan.callbacks.EarlyStopping("frechet", patience=3)
    >>> stopping.metric, stopping.patience
    ('frechet', 3)
    """

    def __init__(self, metric: str, *, patience: int = 5, least_change: float = 0.0) -> None:
        # this import takes seconds that other runs should not pay
        from sngan.metrics import HIGHER_IS_BETTER

        require_one_of(metric, "metric", choices=HIGHER_IS_BETTER)
        require_count(patience, "patience")
        require_number(least_change, "least_change", minimum=0.0)
        self.metric, self.patience, self.least_change = metric, patience, least_change
        self._sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
        self._best, self._since = -math.inf, 0

    @override
    def on_start(self, training: Training) -> None:
        """Count on from the records of a resumed run."""
        has_evaluations = bool(training.config.evaluation.every)
        expected = "evaluations in training (--evaluation.every N)"
        require(has_evaluations, "early stopping", expected=expected, got="none")
        self._best, self._since = -math.inf, 0
        for record in iter_records(training.folder):
            metrics = record.get("evaluation")
            if isinstance(metrics, Mapping) and record["step"] <= training.step:
                self._follow(metrics)

    @override
    def on_evaluate(self, training: Training, metrics: Mapping[str, float]) -> None:
        """Stop if the metric has not improved for long enough."""
        known = ", ".join(metrics)
        require(
            self.metric in metrics, "early stopping", expected=f"one of {known}", got=self.metric
        )
        self._follow(metrics)
        if self._since >= self.patience:
            best = self._sign * self._best
            training.stop(
                f"{self.metric} was not better than {best:.4g} in {self._since} evaluations"
            )

    def _follow(self, metrics: Mapping[str, float]) -> None:
        given = metrics.get(self.metric)
        value = self._sign * given if isinstance(given, int | float) else math.nan
        is_better = value > self._best + self.least_change
        self._since = 0 if is_better else self._since + 1
        self._best = value if is_better else self._best
