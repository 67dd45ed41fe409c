"""Multilayer perceptrons for points."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from sngan._checks import require
from sngan.models._common import Critic, Generator, scaled


class MLPGenerator(Generator):
    """Noise ``(N, latent_dim)`` to points ``(N, dim)``, with ReLU between the layers."""

    def __init__(self, *, latent_dim: int, hidden: Sequence[int], dim: int) -> None:
        super().__init__(latent_dim)
        self.layers = _layers([latent_dim, *hidden, dim], nn.ReLU)

    def forward(self, noise: Tensor) -> Tensor:
        """Return points ``(N, dim)``, unbounded."""
        return self.layers(noise)


class MLPCritic(Critic):
    """Points ``(N, dim)`` to scores ``(N,)``, with leaky ReLU of slope 0.1 between the layers."""

    def __init__(self, *, dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = _layers([dim, *hidden, 1], lambda: nn.LeakyReLU(0.1))

    def forward(self, points: Tensor) -> Tensor:
        """Return scores ``(N,)``."""
        return self.layers(points).squeeze(1)


def mlp(
    sample_shape: tuple[int, ...], *, latent_dim: int, width: float
) -> tuple[MLPGenerator, MLPCritic]:
    """Build both networks for points ``(dim,)``: three hidden layers of ``256·width``.

    The form of Gulrajani et al. 2017, arXiv:1704.00028, for points in the plane.

    Raises
    ------
    ValueError
        The samples are images.
    """
    require(
        len(sample_shape) == 1,
        "model.name",
        expected=f"cnn or resnet for images {sample_shape}",
        got="'mlp'",
    )
    (dim,) = sample_shape
    hidden = 3 * [scaled(256, width)]
    generator = MLPGenerator(latent_dim=latent_dim, hidden=hidden, dim=dim)
    return generator, MLPCritic(dim=dim, hidden=hidden)


def _layers(sizes: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Linear layers of these sizes; He et al. 2015, arXiv:1502.01852, initialization."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])
