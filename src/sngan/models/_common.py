"""What the families share: the two kinds of network, and sizes as counts of stages."""

from torch import nn

from sngan._checks import require


class Generator(nn.Module):
    """Noise ``(N, latent_dim)`` to images ``(N, C, H, W)`` in [-1, 1] or points ``(N, dim)``."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim


class Critic(nn.Module):
    """Images ``(N, C, H, W)`` or points ``(N, dim)`` to scores ``(N,)``, each by itself."""


def scaled(channels: int, width: float) -> int:
    """``channels · width`` rounded, at least 8."""
    return max(8, round(channels * width))


def image_size(sample_shape: tuple[int, ...], *, model: str) -> tuple[int, int]:
    """Return the channels and the side of the images that ``model`` shall make.

    Raises
    ------
    ValueError
        Points; images that are not square, of 1 or 3 channels, of an even side of at least 8.
    """
    require(
        len(sample_shape) == 3,
        "model.name",
        expected=f"mlp for points {sample_shape}",
        got=repr(model),
    )
    channels, height, side = sample_shape
    require(channels in (1, 3), "data.channels", expected="1 or 3", got=channels)
    require(
        height == side and side % 2 == 0 and side >= 8,
        "data.resolution",
        expected=f"square images of an even side of at least 8, for {model}",
        got=f"{height}×{side}",
    )
    return channels, side


def halvings(side: int, *, smallest: int) -> int:
    """The largest k for which ``side / 2**k`` is an integer of at least ``smallest``."""
    return max(k for k in range(side.bit_length()) if side % 2**k == 0 and side >> k >= smallest)
