"""Vision transformers of DINOv2 and CLIP, from a file of their published weights.

All sizes follow from the shapes of the weights. The output is the normalized class token, for CLIP
after its projection.

Sources: Dosovitskiy et al. 2021, arXiv:2010.11929; Oquab et al. 2023, arXiv:2304.07193, and Darcet
et al. 2024, arXiv:2309.16588 (registers), code ``dinov2/models/vision_transformer.py``; Radford et
al. 2021, arXiv:2103.00020, code ``clip/model.py``.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.metrics import vision_names
from sngan.utils.checks import require

_HEAD = 64  # the width of an attention head in all published sizes
_DINO_SIDE = 224
Activation = Callable[[Tensor], Tensor]


def quick_gelu(x: Tensor) -> Tensor:
    """Return ``x·σ(1.702x)``, the activation of CLIP."""
    return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Self-attention of tokens ``(n, t, width)`` with heads of width 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        n, t, width = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, -1, _HEAD).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, t, width))


class Mlp(nn.Module):
    """A layer of hidden units between two linear maps."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        return self.fc2(self._activation(self.fc1(x)))


class GatedMlp(nn.Module):
    """The gated layer of DINOv2's largest network: ``w3(silu(a)·b)`` with ``(a, b) = w12(x)``."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12, self.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        a, b = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(a) * b)


class LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and a layer of hidden units, each normalized first and added to its input."""

    def __init__(self, width: int, mlp: nn.Module, *, epsilon: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=epsilon) for _ in range(2))
        self.attn, self.mlp = Attention(width), mlp
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """Maps normalized images ``(n, 3, side, side)`` to features ``(n, d)``.

    Parameters
    ----------
    weights
        The weights, by their names in DINOv2's files.
    is_clip
        Whether they are CLIP's.

    Attributes
    ----------
    side
        The side of the images that it takes.
    """

    cls_token: nn.Parameter
    pos_embed: nn.Parameter

    def __init__(self, weights: dict[str, Tensor], *, is_clip: bool) -> None:
        super().__init__()
        width, _, patch, _ = weights["patch_embed.proj.weight"].shape
        self._grid = math.isqrt(weights["pos_embed"].shape[-2] - 1)
        self.side = self._grid * patch if is_clip else _DINO_SIDE
        epsilon = 1e-5 if is_clip else 1e-6
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, stride=patch)})
        for name in ("cls_token", "pos_embed", "register_tokens", "proj"):
            value = weights.get(name)
            empty = None if value is None else nn.Parameter(torch.empty_like(value))
            self.register_parameter(name, empty)
        self.norm_pre = nn.LayerNorm(width, eps=epsilon) if is_clip else nn.Identity()
        depth = sum(name.endswith(".norm1.weight") for name in weights)
        self.blocks = nn.Sequential(
            *(
                Block(width, _mlp_of(weights, index, width, is_clip=is_clip), epsilon=epsilon)
                for index in range(depth)
            )
        )
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.load_state_dict(weights)
        self.float().eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalized class token, projected if there is a projection."""
        patches = self.patch_embed["proj"](images)
        rows, columns = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)
        first = self.cls_token.view(1, 1, -1).expand(len(images), -1, -1)
        x = torch.cat([first, tokens], 1) + self._positions(rows, columns)
        registers = self.get_parameter("register_tokens") if self._has("register_tokens") else None
        if registers is not None:
            x = torch.cat([x[:, :1], registers.expand(len(images), -1, -1), x[:, 1:]], 1)
        features = self.norm(self.blocks(self.norm_pre(x))[:, 0])
        return features @ self.get_parameter("proj") if self._has("proj") else features

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    def _positions(self, rows: int, columns: int) -> Tensor:
        """The embeddings of positions, resized to another grid as the code of DINOv2 does.

        The first networks add 0.1 to the number of rows, which also changes the scale of the
        resizing; those with registers resize to the exact number, with antialiasing.
        """
        positions = self.pos_embed.view(1, -1, self.pos_embed.shape[-1])
        if (rows, columns) == (self._grid, self._grid):
            return positions
        grid = positions[:, 1:].view(1, self._grid, self._grid, -1).permute(0, 3, 1, 2)
        if self._has("register_tokens"):
            resized = F.interpolate(grid, (rows, columns), mode="bicubic", antialias=True)
        else:
            factors = ((rows + 0.1) / self._grid, (columns + 0.1) / self._grid)
            resized = F.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], 1)


def dinov2(weights: dict[str, Tensor]) -> VisionTransformer:
    """Make a network of DINOv2 from the weights of its published file, or of Transformers'.

    Raises
    ------
    ValueError
        If names or shapes of the weights are others.
    """
    return _made(vision_names.of_dinov2(weights), "DINOv2", is_clip=False)


def clip(weights: dict[str, Tensor]) -> VisionTransformer:
    """Make the image network of CLIP from the weights of its published file, or of Transformers'.

    Raises
    ------
    ValueError
        If names or shapes of the weights are others, such as those of a residual network, or of a
        file without the projection.
    """
    return _made(vision_names.of_clip(weights), "CLIP's vision transformer", is_clip=True)


def _made(weights: dict[str, Tensor], name: str, *, is_clip: bool) -> VisionTransformer:
    needed = {"patch_embed.proj.weight", "pos_embed", "cls_token"} | (
        {"proj"} if is_clip else set()
    )
    missing = sorted(needed - set(weights))
    require(not missing, "weights", expected=f"those of {name}", got=f"none named {missing}")
    try:
        with torch.random.fork_rng(devices=[]):
            return VisionTransformer(weights, is_clip=is_clip)
    except (RuntimeError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"weights: expected those of {name}, got others ({said})") from error


def _mlp_of(weights: dict[str, Tensor], index: int, width: int, *, is_clip: bool) -> nn.Module:
    gate = weights.get(f"blocks.{index}.mlp.w3.weight")
    if gate is not None:
        return GatedMlp(width, gate.shape[1])
    hidden = weights[f"blocks.{index}.mlp.fc1.weight"].shape[0]
    return Mlp(width, hidden, quick_gelu if is_clip else F.gelu)
