"""Networks of a run, built from its settings, and their noise and labels from a seed."""

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sngan import models
from sngan.config import Config, ModelConfig
from sngan.utils.checks import require, require_given

NOISE_BLOCK = 16
"""torch draws normal numbers in blocks of 16: drawing blocks one by one gives the same numbers."""


class OwnNetworks(NamedTuple):
    """Networks that a caller gives as objects, in place of those that the settings name."""

    generator: nn.Module | None = None
    critic: nn.Module | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the networks that are given."""
        return tuple(name for name, network in self._asdict().items() if network is not None)

    def lacks(self, name: str, model: ModelConfig) -> bool:
        """Whether a network of the settings was given as an object, and is not given now."""
        return name in model.own and getattr(self, name) is None

    def require(self, name: str, config: Config) -> None:
        """Raise if a network of the settings was given as an object, and is not given now."""
        expected = "the module that the run was trained with, because its settings name no code"
        require(not self.lacks(name, config.model), name, expected=expected, got="none")


def build_networks(config: Config, own: OwnNetworks | None = None) -> tuple[nn.Module, nn.Module]:
    """Build the generator and the critic of resolved settings.

    Kernels of convolutions are stored channels-last, which makes convolutions a quarter faster on a
    CPU. All networks of a run are built here: another memory format rounds differently, and one
    seed must give one result.

    Parameters
    ----------
    config
        The resolved settings.
    own
        Networks given as objects, which are copied. A network that is missing here, but that the
        settings do not describe, is an empty module.

    Raises
    ------
    ValueError
        If the settings lack the shape of a sample, or no such model can be built.
    """
    own = own or OwnNetworks()
    described = {"generator", "critic"} - {*config.model.own, *own.names}
    built: dict[str, nn.Module] = {}
    if described:
        built = dict(zip(("generator", "critic"), _described(config), strict=True))
    networks = [
        built[name] if name in described else copy.deepcopy(given or nn.Module())
        for name, given in own._asdict().items()
    ]
    for network in networks:
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return networks[0], networks[1]


def _described(config: Config) -> tuple[nn.Module, nn.Module]:
    model = config.model
    return models.build(
        model.name,
        require_given(model.sample_shape, "run", expected="a config.yaml with model.sample_shape"),
        latent_dim=model.latent_dim,
        width=model.width,
        num_classes=model.num_classes,
        attention=model.attention if isinstance(model.attention, int) else 0,
        pack=model.pack,
        minibatch_std=model.group_size or 0,
        critic_norm=config.method.critic_norm or "none",
        standardize=model.standardize,
        init="default" if model.init == "auto" else model.init,
    )


def networks_on_meta(config: Config, own: OwnNetworks | None = None) -> tuple[nn.Module, nn.Module]:
    """Build both networks on the meta device: names and shapes, without memory for weights.

    Raises
    ------
    ValueError
        If :func:`build_networks` raises it, or no tensor can have the width or the dimension.
    """
    model = config.model
    try:
        with torch.device("meta"):
            networks = build_networks(config, own)
    except (RuntimeError, OverflowError, TypeError) as error:
        got = f"model.width {model.width:g} and model.latent_dim {model.latent_dim}"
        raise ValueError(f"model: expected networks that fit into memory, got {got}") from error
    except ValueError:
        if not model.is_own:
            raise
        # code of others may need values of weights, which the meta device does not have
        networks = build_networks(config, own)
    return networks[0].to("meta"), networks[1].to("meta")


def draw(generator: nn.Module, noise: Tensor, labels: Tensor | None) -> Tensor:
    """Generate samples. Images are clamped to [-1, 1], because some generators end linearly.

    Parameters
    ----------
    generator
        The generator.
    noise
        The noise ``(n, latent_dim)``.
    labels
        The classes ``(n,)``; ``None`` for an unconditional generator.
    """
    samples = models.call(generator, noise, labels)
    return samples.clamp(-1.0, 1.0) if samples.dim() == 4 else samples


def noise_blocks(latent_dim: int, *, seed: int) -> Iterator[Tensor]:
    """Yield standard normal noise ``(16, latent_dim)`` for ever, drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(NOISE_BLOCK, latent_dim, generator=generator)


def noise_from_seed(n: int, latent_dim: int, *, seed: int) -> Tensor:
    """Return standard normal noise ``(n, latent_dim)``, drawn on the CPU so that devices agree.

    Parameters
    ----------
    n
        The number of rows.
    latent_dim
        The dimension of the noise.
    seed
        The seed; the first rows do not depend on ``n``.
    """
    blocks = islice(noise_blocks(latent_dim, seed=seed), -(-n // NOISE_BLOCK))
    return torch.cat(list(blocks))[:n]


def balanced_labels(
    n: int, classes: Sequence[int], *, device: torch.device | str = "cpu"
) -> Tensor | None:
    """Return these classes in turn, int64 ``(n,)``; ``None`` if there are none.

    Parameters
    ----------
    n
        The number of labels.
    classes
        The classes; empty for an unconditional generator.
    device
        The device of the labels.
    """
    if not classes:
        return None
    return torch.tensor(classes, device=device)[torch.arange(n, device=device) % len(classes)]
