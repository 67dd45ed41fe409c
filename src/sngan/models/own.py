"""Networks of one's own: any pair of modules, called with or without labels."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.utils.hooks import RemovableHandle

from sngan.models.common import Critic
from sngan.models.common import Generator as PlainGenerator
from sngan.models.coordinates import Coordinates
from sngan.utils.checks import require
from sngan.utils.registry import accepted
from sngan.utils.text import class_and_line

Factory = Callable[..., tuple[nn.Module, nn.Module]]

_OFFERED = ("latent_dim", "width", "num_classes", "pack")


def own_factory(part: Any, name: str) -> Factory:
    """Make a family of networks of another author's factory.

    The factory is called as ``factory(sample_shape, latent_dim=…, width=…, num_classes=…,
    pack=…)``, with those of the keyword arguments that it accepts. ``sample_shape`` is
    ``(channels, height, width)`` of images or ``(dim,)`` of points. It returns two modules:
    ``generator(z)`` maps noise ``(N, latent_dim)`` to samples ``(N, *sample_shape)``, and
    ``critic(x)`` maps samples to scores ``(N,)`` or ``(N, 1)``. With ``num_classes`` above 0 both
    also get labels int64 ``(N,)`` as second argument: ``generator(z, labels)``, ``critic(x,
    labels)``.

    Parameters
    ----------
    part
        The factory.
    name
        Its name, for messages.

    Raises
    ------
    ValueError
        If it is no function; its result raises if it is called and returns something else.
    """
    require(callable(part), "model.name", expected="a function", got=f"{name}, {part!r}")

    def build(sample_shape: tuple[int, ...], **settings: Any) -> tuple[nn.Module, nn.Module]:
        offered = {key: settings[key] for key in _OFFERED}
        try:
            pair = part(sample_shape, **accepted(part, offered))
        except Exception as error:
            got = f"{name}, which failed for samples {sample_shape} ({class_and_line(error)})"
            raise ValueError(f"model.name: expected a factory of networks, got {got}") from error
        is_pair = (
            isinstance(pair, tuple | list)
            and len(pair) == 2
            and all(isinstance(one, nn.Module) for one in pair)
        )
        expected = f"{name} to return two torch.nn.Module, generator and critic"
        require(is_pair, "model.name", expected=expected, got=type(pair).__name__)
        return pair[0], pair[1]

    return build


def call(network: Callable[..., Any], inputs: Tensor, labels: Tensor | None) -> Any:
    """Call a generator or a critic: with labels if there are some, else with its input alone.

    Parameters
    ----------
    network
        The network, or its forward.
    inputs
        Noise or samples.
    labels
        int64 classes ``(N,)``; ``None`` for an unconditional network.

    Examples
    --------
    >>> from sngan.models import call
    >>> call(nn.Identity(), torch.ones(2), None)
    tensor([1., 1.])
    >>> call(lambda x, labels: x + labels, torch.ones(2), torch.tensor([0, 1]))
    tensor([1., 2.])
    """
    return network(inputs) if labels is None else network(inputs, labels)


def coordinates_of(network: nn.Module) -> Coordinates | None:
    """Return the coordinates of the data in which a network of sngan computes; others have none.

    Examples
    --------
    >>> from sngan.models import build, coordinates_of
    >>> generator, _ = build("mlp", (2,), width=0.1, standardize=True)
    >>> coordinates_of(generator).scale, coordinates_of(nn.Identity()) is None
    (tensor([1., 1.]), True)
    """
    return network.coordinates if isinstance(network, PlainGenerator | Critic) else None


def add_class_zero(network: nn.Module) -> RemovableHandle | None:
    """Let a conditional network of others take its input alone, as a member of class 0.

    sngan's own critics do so by themselves. Norms and Lipschitz bounds call a network with one
    input.

    Returns
    -------
    RemovableHandle or None
        The handle whose ``remove()`` undoes it.

    Examples
    --------
    >>> from sngan.models import add_class_zero
    >>> class Scores(nn.Module):
    ...     def forward(self, x, labels):
    ...         return x.sum(1) + 10 * labels
    >>> critic = Scores()
    >>> handle = add_class_zero(critic)
    >>> critic(torch.ones(1, 2)), critic(torch.ones(1, 2), torch.tensor([1]))
    (tensor([2.]), tensor([12.]))
    """
    if isinstance(network, Critic):
        return None

    def add(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if len(inputs) != 1 or named:
            return None
        labels = torch.zeros(len(inputs[0]), dtype=torch.int64, device=inputs[0].device)
        return (inputs[0], labels), named

    return network.register_forward_pre_hook(add, with_kwargs=True)


@contextmanager
def as_class_zero(*networks: nn.Module, is_conditional: bool) -> Generator[None]:
    """Call conditional networks with their input alone inside, see :func:`add_class_zero`.

    Examples
    --------
    >>> from sngan.models import as_class_zero
    >>> class Scores(nn.Module):
    ...     def forward(self, x, labels):
    ...         return x.sum(1) + 10 * labels
    >>> critic = Scores()
    >>> with as_class_zero(critic, is_conditional=True):
    ...     critic(torch.ones(1, 2))
    tensor([2.])
    """
    handles = [add_class_zero(one) for one in networks] if is_conditional else []
    try:
        yield
    finally:
        for handle in handles:
            if handle is not None:
                handle.remove()


def has_batch_norm(network: nn.Module) -> bool:
    """Whether a network has batch norm, with which samples of a batch depend on one another.

    Examples
    --------
    >>> from sngan.models import has_batch_norm
    >>> has_batch_norm(nn.Sequential(nn.BatchNorm1d(2))), has_batch_norm(nn.LayerNorm(2))
    (True, False)
    """
    return any(isinstance(part, _BatchNorm) for part in network.modules())
