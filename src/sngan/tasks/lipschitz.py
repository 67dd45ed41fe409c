"""Bounding the Lipschitz constant of a run's critic, with pictures."""

import logging
from pathlib import Path

import torch

from sngan.lipschitz import LipschitzBounds, lipschitz_bounds, plot_cone, plot_layers
from sngan.runs.layout import RunFolder
from sngan.runs.names import LIPSCHITZ
from sngan.runs.run import load, load_critic
from sngan.utils.text import first_line

_SAMPLES = 256
_log = logging.getLogger("sngan")


def lipschitz(folder: str | Path, *, lower: bool = True, progress: bool = False) -> LipschitzBounds:
    """Bound the Lipschitz constant of a run's critic, and draw it into ``RUN/lipschitz/``.

    ``layers.png`` has each layer's norm and singular values; ``cone.png`` the critic along its
    steepest direction, inside the double cone of the proved slope. The lower bound is searched for
    from the run's own samples and noise, so the training data is not needed. Without ``lower``
    there is no search and no ``cone.png``; ``progress`` draws a bar on a terminal.

    Raises
    ------
    ValueError
        The folder is no run, or has no readable checkpoint.
    """
    return lipschitz_with_pictures(folder, lower=lower, progress=progress)[0]


def lipschitz_with_pictures(
    folder: str | Path, *, lower: bool = True, progress: bool = False
) -> tuple[LipschitzBounds, list[Path]]:
    """Do what :func:`lipschitz` does; return also the pictures that it has written."""
    run, critic = load(folder), load_critic(folder)
    shape = run.config.model.sample_shape
    assert shape is not None
    data = run.generate(_SAMPLES) if lower else None
    bounds = lipschitz_bounds(critic, shape, data=data, lower=lower, progress=progress)
    try:
        return bounds, _draw(bounds, critic, RunFolder(Path(folder)), lower=lower)
    except (OSError, ValueError) as error:
        # the figures were found all the same
        _log.warning("no pictures: %s", first_line(error))
        return bounds, []


def _draw(
    bounds: LipschitzBounds, critic: torch.nn.Module, folder: RunFolder, *, lower: bool
) -> list[Path]:
    layers, cone = (_own_picture(folder, name) for name in ("layers.png", "cone.png"))
    plot_layers(bounds, layers)
    if bounds.reasons or not lower:
        return [layers]
    critic = critic.double()
    point = bounds.witness.requires_grad_()
    (direction,) = torch.autograd.grad(critic(point[None]).sum(), point)
    plot_cone(critic, point.detach(), direction, bounds.upper, cone)
    return [layers, cone]


def _own_picture(folder: RunFolder, name: str) -> Path:
    if not folder.files.exists():
        folder.adopt()
    path = folder.files.claim(f"{LIPSCHITZ}/{name}")
    path.parent.mkdir(exist_ok=True)
    return path
