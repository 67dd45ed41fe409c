"""Effort of a run in a comparison: how it was trained, and what it cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """The budget of a run and the settings that decide what a step is.

    ``lr`` and ``lr_critic`` are texts, because a rate may be a schedule.
    """

    steps: int
    critic_steps: int
    n_critic: int
    batch_size: int
    loss: str
    penalty: str
    lr: str
    lr_critic: str
