"""Lipschitz bounds of a run's critic, with pictures."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from sngan.lipschitz import LipschitzBounds, lipschitz_bounds, plot_cone, plot_layers
from sngan.models.packing import packed, packed_shape
from sngan.runs.critic import load_critic, require_run_with_critic
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.networks import OwnNetworks
from sngan.runs.run import load
from sngan.runs.weights import read_config
from sngan.tasks.networks import open_network, read_range
from sngan.utils.checks import require_given
from sngan.utils.text import first_line

_SAMPLES = 256
_log = logging.getLogger("sngan")


def lipschitz(
    folder: str | Path,
    *,
    checkpoint: str | int = "last",
    slopes: str = "eclipse",
    lower: bool = True,
    progress: bool = False,
    allow_code: bool = False,
    own: OwnNetworks | None = None,
) -> LipschitzBounds:
    """Bound the Lipschitz constant of a run's critic, and draw it into ``RUN/lipschitz/``.

    ``layers.png`` shows each layer's norm and singular values, ``cone.png`` the critic along its
    steepest direction inside the double cone of the proved slope. The training data is not needed:
    the search for a steep point starts from samples of the run and from noise. A critic of packs
    is bounded as a function of packs.

    Parameters
    ----------
    folder
        The folder of the run.
    checkpoint
        The weights, as for :func:`sngan.load`.
    slopes
        The proof of the upper bound, as for :func:`sngan.lipschitz_bounds`.
    lower
        Search for a steep point; without it there is no lower bound and no ``cone.png``.
    progress
        Draw a progress bar on a terminal.
    allow_code
        Import the code that the run's settings name, see :func:`sngan.load`.
    own
        The networks of a run that was trained on modules given as objects. Without the generator,
        the search starts from noise alone.

    Raises
    ------
    ValueError
        If the folder is no run, or has no readable checkpoint.
    """
    return lipschitz_with_pictures(
        folder,
        checkpoint=checkpoint,
        slopes=slopes,
        lower=lower,
        progress=progress,
        allow_code=allow_code,
        own=own,
    )[0]


def lipschitz_with_pictures(
    folder: str | Path,
    *,
    checkpoint: str | int = "last",
    slopes: str = "eclipse",
    lower: bool = True,
    progress: bool = False,
    allow_code: bool = False,
    own: OwnNetworks | None = None,
) -> tuple[LipschitzBounds, list[Path]]:
    """Return the bounds of :func:`lipschitz` together with the pictures that it has written.

    Parameters
    ----------
    folder, checkpoint, slopes, lower, progress, allow_code, own
        As for :func:`lipschitz`.
    """
    require_run_with_critic(folder)
    own = own or OwnNetworks()
    model = read_config(Path(folder)).model
    run = None
    if not own.lacks("generator", model):
        run = load(folder, checkpoint=checkpoint, allow_code=allow_code, generator=own.generator)
    critic = load_critic(folder, checkpoint=checkpoint, allow_code=allow_code, critic=own.critic)
    shape = require_given(model.sample_shape, "run", expected="the shape of its samples")
    data = None
    if lower and run is not None:
        data = packed(run.generate(model.pack * _SAMPLES), model.pack)
    bounds = lipschitz_bounds(
        critic,
        packed_shape(shape, model.pack),
        data=data,
        also_in_box=(-1.0, 1.0) if len(shape) == 3 else None,
        slopes=slopes,
        lower=lower,
        progress=progress,
    )
    if model.pack > 1:
        note = f"the critic is a function of {model.pack} samples at once, and so are the bounds"
        bounds = replace(bounds, notes=(*bounds.notes, note))
    if bounds.upper_in_box is not None:
        note = f"for images with pixels in [-1, 1] it is at most {bounds.upper_in_box:.6g}"
        bounds = replace(bounds, notes=(*bounds.notes, note))
    try:
        return bounds, _draw(bounds, critic, ManagedRunFolder(Path(folder)), lower=lower)
    except (OSError, ValueError) as error:
        # the bounds are useful without the pictures, so this only warns
        _log.warning("no pictures: %s", first_line(error))
        return bounds, []


def lipschitz_of_network(
    name: str,
    *,
    shape: str | None = None,
    box: str | None = None,
    norm: str = "2",
    slopes: str = "eclipse",
    lower: bool = True,
    progress: bool = False,
) -> LipschitzBounds:
    """Bound the Lipschitz constant of a network that is no run's critic.

    Parameters
    ----------
    name
        ``package.module:name`` of a network or of a function that returns one, or a ``.pt2`` file.
    shape
        The shape of one sample, such as ``"3,32,32"``; a ``.pt2`` file has its own.
    box
        The range of the inputs, such as ``"-1,1"``; None for all inputs.
    norm, slopes, lower, progress
        As for :func:`sngan.lipschitz_bounds`.

    Raises
    ------
    ValueError
        If there is no such network, or it does not take the shape.
    """
    network = open_network(name)
    return lipschitz_bounds(
        network.module,
        network.sample_shape(shape),
        box=None if box is None else read_range(box, "box"),
        norm=norm,
        slopes=slopes,
        lower=lower,
        progress=progress,
    )


def _draw(
    bounds: LipschitzBounds, critic: torch.nn.Module, folder: ManagedRunFolder, *, lower: bool
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


def _own_picture(folder: ManagedRunFolder, name: str) -> Path:
    if not folder.files.exists():
        folder.adopt()
    path = folder.files.claim(f"{folder.LIPSCHITZ}/{name}")
    path.parent.mkdir(exist_ok=True)
    return path
