"""Extremes: the least and the largest gradient norm of the steps between two records."""

import torch
from torch import Tensor

_NORMS = ("generator_gradient_norm", "critic_gradient_norm")


class Extremes:
    """Keeps, on the device, the least and the largest norm of each network's gradient."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()

    def reset(self) -> None:
        """Forget the norms so far."""
        size = (len(_NORMS),)
        self._least = torch.full(size, torch.inf, device=self._device)
        self._largest = torch.zeros(size, device=self._device)

    def update(self, terms: dict[str, Tensor]) -> None:
        """Take in the terms of a step, without waiting for the device."""
        norms = torch.stack([terms[name].float() for name in _NORMS])
        self._least = torch.minimum(self._least, norms)
        self._largest = torch.maximum(self._largest, norms)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the norms so far, for a checkpoint."""
        return {"least": self._least, "largest": self._largest}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._least = torch.empty_like(self._least).copy_(saved["least"])
        self._largest = torch.empty_like(self._largest).copy_(saved["largest"])

    def terms(self) -> dict[str, Tensor]:
        """Return the extremes as terms, such as ``generator_gradient_norm_largest``."""
        pairs = zip(_NORMS, self._least, self._largest, strict=True)
        return {
            f"{name}_{word}": value
            for name, *values in pairs
            for word, value in zip(("least", "largest"), values, strict=True)
        }
