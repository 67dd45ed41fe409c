"""Self-attention between the places of a feature map."""

import torch
from torch import Tensor, nn

from sngan.utils.checks import require


class SelfAttention(nn.Module):
    """``y = x + γ·v(Σ_j β_ij h(x_j))`` with ``β_i = softmax_j⟨f(x_j), g(x_i)⟩``, over places j.

    f, g, h, v are 1×1 convolutions; f, g, h have an eighth of the channels as output. γ starts at
    0, so that the block starts as the identity. Source: Zhang et al. 2019, arXiv:1805.08318,
    equations 1 to 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.key, self.query, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.output = nn.Conv2d(inner, channels, 1)
        for layer in (self.key, self.query, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        # FSDP shards parameters along a dimension, so this one must have a dimension
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape ``(N, C, H, W)``."""
        key, query, value = (f(maps).flatten(2) for f in (self.key, self.query, self.value))
        # row i has the weights β_i; scaled_dot_product_attention has no second derivative
        shares = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        seen = (value @ shares.transpose(1, 2)).unflatten(2, maps.shape[2:])
        return maps + self.gamma * self.output(seen)


def require_attention_side(attention: int, sides: tuple[int, ...], *, model: str) -> None:
    """Raise ``ValueError`` unless ``attention`` is 0 or a side of maps in both networks.

    Parameters
    ----------
    attention
        The value of the setting.
    sides
        The sides of maps that the blocks of both networks make.
    model
        The name of the model, for the message.
    """
    at = f", or {' or '.join(map(str, sides))}" if sides else ""
    expected = f"0{at} for {model} and these samples"
    require(attention in (0, *sides), "model.attention", expected=expected, got=attention)
