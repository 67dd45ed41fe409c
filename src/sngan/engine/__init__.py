"""Training engine: ``steps.py`` has one iteration, ``loop.py`` the loop, ``train.py`` a whole run.

``sngan.train`` is ``sngan.tasks.train.train``. From there the calls are ``train.train``,
``fabric.run_on_ranks``, ``worker.train_on_rank``, ``loop.run_loop``, ``steps.train_step``,
``steps.critic_step``.
"""

from sngan.engine.state import TrainState as TrainState
from sngan.engine.steps import critic_step as critic_step
from sngan.engine.steps import generator_step as generator_step
from sngan.engine.steps import train_step as train_step

__all__ = [
    "TrainState",
    "critic_step",
    "generator_step",
    "train_step",
]
