"""Log record: one line of ``metrics.jsonl``, the figures of a training run at one step."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class LogRecord:
    """The figures of one step; None stands for a figure that the record does not have.

    Parameters
    ----------
    step, seconds, cpu_seconds
        The generator step, the seconds of training until then, and the processor seconds of the
        first process.
    critic_loss, w_estimate, penalty, orthonormal, critic_gradient_norm
        The terms of the last critic step; ``w_estimate`` is the mean score of real samples minus
        that of generated ones.
    augment_p, augment_sign
        The probability of augmentation, and r_t of the last critic batch, which adapts it.
    generator_loss, generator_gradient_norm
        The terms of the generator step.
    w1, lipschitz, w1_bound
        For points: the exact W1 distance, the proved Lipschitz constant of the critic, and the
        lower bound of W1 that both give.
    modes, high_quality, reverse_kl, smallest_share
        For a mixture of Gaussians: what ``sngan.metrics.mixture_coverage`` finds in samples of the
        averaged generator.
    lr, steps_per_second
        The learning rate of the generator, and the speed since the record before.
    lr_critic, penalty_weight, ema_decay
        The learning rate of the critic, if it has its own, and the values of schedules.
    sigma
        The spectral norm of each layer of the critic.
    health
        Figures of the run's health, such as the spread of its samples; the page docs/health.md
        explains them.
    not_finite
        The step at which a term was not finite, under the name of the term; it ended the run.
    evaluation, evaluation_seconds
        The figures of an evaluation, which is a record of its own, and the time that it took.
    """

    step: int
    seconds: float | None = None
    cpu_seconds: float | None = None
    critic_loss: float | None = None
    w_estimate: float | None = None
    penalty: float | None = None
    orthonormal: float | None = None
    augment_p: float | None = None
    augment_sign: float | None = None
    critic_gradient_norm: float | None = None
    generator_loss: float | None = None
    generator_gradient_norm: float | None = None
    w1: float | None = None
    lipschitz: float | None = None
    w1_bound: float | None = None
    modes: int | None = None
    high_quality: float | None = None
    reverse_kl: float | None = None
    smallest_share: float | None = None
    lr: float | None = None
    lr_critic: float | None = None
    penalty_weight: float | None = None
    ema_decay: float | None = None
    steps_per_second: float | None = None
    sigma: Mapping[str, float] | None = None
    health: Mapping[str, float] | None = None
    not_finite: Mapping[str, float] | None = None
    evaluation: Mapping[str, float | None] | None = None
    evaluation_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures that the record has, as the line of ``metrics.jsonl`` holds them."""
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: value for name, value in values if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LogRecord":
        """Read a record; figures that this version does not know are left out."""
        return cls(**{key: value for key, value in values.items() if key in _NAMES})


_NAMES = frozenset(one.name for one in fields(LogRecord))
