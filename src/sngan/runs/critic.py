"""Critic of a run, from its checkpoints: files to pass on hold the generator alone."""

from pathlib import Path

from torch import nn

from sngan import models
from sngan.runs.chosen import LAST
from sngan.runs.hub import is_run_folder
from sngan.runs.networks import OwnNetworks, build_networks
from sngan.runs.weights import read_critic, read_settings
from sngan.utils.checks import require


def load_critic(
    folder: str | Path,
    *,
    checkpoint: str | int = LAST,
    allow_code: bool = False,
    critic: nn.Module | None = None,
) -> nn.Module:
    """Return the critic of a checkpoint, by default the newest, on the CPU in eval mode.

    A conditional critic of others takes no labels: it scores all samples as members of class 0.

    Parameters
    ----------
    folder
        The folder of the run.
    checkpoint
        The weights, as for :func:`sngan.load`.
    allow_code
        Import the code that the run's settings name, see :func:`sngan.load`.
    critic
        The module of a run that was trained on a module given as an object.

    Raises
    ------
    ValueError
        If the folder is no run, or has no such readable checkpoint.
    """
    require_run_with_critic(folder)
    folder, own = Path(folder), OwnNetworks(critic=critic)
    config, (_, on_meta) = read_settings(folder, allow_code=allow_code, own=own)
    own.require("critic", config)
    weights = read_critic(on_meta, folder, checkpoint)
    _, network = build_networks(config, own)
    network.load_state_dict(weights)
    if config.model.num_classes:
        models.add_class_zero(network)
    return network.eval().requires_grad_(False)


def require_run_with_critic(folder: str | Path) -> None:
    """Raise if this is a run without its critic: a file, or a run of the hub.

    Raises
    ------
    ValueError
        If it is one.
    """
    require(
        is_run_folder(folder),
        "run",
        expected="a run folder, whose checkpoints hold the critic",
        got=f"{folder}, the generator alone",
    )
