"""Scheduled values: learning rates, β₂, penalty weight and EMA decay, set before each step.

A captured step reads values that change from tensors on the device. The host computes all values
from the number of the step, so no step waits for the device, and a resumed run has the same values.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sngan.config import Config
from sngan.distributed import dtensor
from sngan.methods import Schedule, value_at
from sngan.methods.schedule import factor

_log = logging.getLogger("sngan")
# most runs have one decay; making the function takes longer than a small update
_update_with = lru_cache(maxsize=1)(get_ema_multi_avg_fn)


class EmaUpdate:
    """The update ``average ← decay·average + (1 − decay)·current``; each rank does its own part."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, average: Iterable[Tensor], current: Iterable[Tensor], count: Any) -> None:
        """Update the average in place."""
        update = _update_with(self.decay)
        update([*map(dtensor.local_tensor, average)], [*map(dtensor.local_tensor, current)], count)


@dataclass(kw_only=True)
class ScheduledValues:
    """The values of a run that change from step to step.

    Parameters
    ----------
    config
        The settings of the run, which decide the average where a step's settings leave it out.
    generator_optimizer, critic_optimizer
        The optimizers whose learning rates and β₂ are set.
    ema
        The update of the generator's average.
    scheduled_weight
        The weight of the penalty at the present step, on the device; steps read it if it changes.
    """

    config: Config
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer
    ema: EmaUpdate
    scheduled_weight: Tensor

    @classmethod
    def build(
        cls, config: Config, optimizers: tuple[Optimizer, Optimizer], average: AveragedModel
    ) -> "ScheduledValues":
        """Build the values as they are at the first step.

        Parameters
        ----------
        config
            The settings.
        optimizers
            The optimizers of generator and critic.
        average
            The generator's average. It gets the update ``ema``.
        """
        average.multi_avg_fn = ema = EmaUpdate(ema_decay(config, 0))
        weight = value_at(config.method.penalty_weight, 0, config.steps)
        device = next(average.module.parameters()).device
        for key in ("lr", "lr_critic"):
            rate = getattr(config.method, key)
            if config.schedule != "constant" and isinstance(rate, Schedule):
                _log.info("method.%s goes %s by itself, without the factor of schedule", key, rate)
        return cls(
            config=config,
            generator_optimizer=optimizers[0],
            critic_optimizer=optimizers[1],
            ema=ema,
            scheduled_weight=torch.full((), weight, device=device),
        )

    def move_to(self, step: int, config: Config) -> None:
        """Set the values that a step has by its settings; the first step is 0."""
        method, steps = config.method, config.steps
        optimizers = (self.generator_optimizer, self.critic_optimizer)
        for optimizer, lr in zip(optimizers, learning_rates(config, step), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = _renewed(group["lr"], lr)
                if isinstance(method.betas[1], Schedule) and "betas" in group:
                    first, second = group["betas"]
                    group["betas"] = first, _renewed(second, method.betas[1].at(step, steps))
        if isinstance(method.penalty_weight, Schedule):
            self.scheduled_weight.fill_(method.penalty_weight.at(step, steps))
        has_average = config.ema_decay is not None or config.ema_halflife is not None
        self.ema.decay = ema_decay(config if has_average else self.config, step)

    def penalty_weight(self, config: Config) -> float | Tensor:
        """Return the weight of the penalty by a step's settings: a number, or the tensor."""
        weight = config.method.penalty_weight
        return self.scheduled_weight if isinstance(weight, Schedule) else weight

    def for_log(self, step: int) -> dict[str, Any]:
        """Return the learning rates of a step, and the other values that change over the run."""
        config, method = self.config, self.config.method
        lr, lr_critic = learning_rates(config, step)
        values: dict[str, Any] = {"lr": lr}
        if method.lr_critic is not None:
            values["lr_critic"] = lr_critic
        if isinstance(method.penalty_weight, Schedule):
            values["penalty_weight"] = method.penalty_weight.at(step, config.steps)
        if any(isinstance(one, Schedule) for one in (config.ema_decay, config.ema_halflife)):
            values["ema_decay"] = ema_decay(config, step)
        return values


def learning_rates(config: Config, step: int) -> tuple[float, float]:
    """Return the learning rates of generator and critic at a step.

    ``config.schedule`` is a factor on rates that are numbers. A rate that is a schedule itself has
    its own course.
    """
    method = config.method
    rates = (method.lr, method.lr if method.lr_critic is None else method.lr_critic)
    share = factor(config.schedule).at(step, config.steps)
    generator_lr, critic_lr = (
        rate.at(step, config.steps) if isinstance(rate, Schedule) else rate * share
        for rate in rates
    )
    return generator_lr, critic_lr


def ema_decay(config: Config, step: int) -> float:
    """Return the decay of the generator's average at a step.

    With a half-life of h images it is ``0.5^(batch_size/h)``, as in Karras et al. 2020,
    arXiv:1912.04958: after h more images a weight counts half. At h = 0 the average is a copy.
    """
    if config.ema_halflife is None:
        decay = config.method.usual_ema_decay if config.ema_decay is None else config.ema_decay
        return value_at(decay, step, config.steps)
    halflife = value_at(config.ema_halflife, step, config.steps)
    return 0.5 ** (config.batch_size / halflife) if halflife > 0 else 0.0


def _renewed(old: float | Tensor, value: float) -> float | Tensor:
    """Return the new value: in the old tensor, which a captured graph reads, or as a number."""
    return old.fill_(value) if isinstance(old, Tensor) else value
