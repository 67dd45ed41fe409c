"""Spectral normalization spelled out: raw weights, and norms by an SVD in every forward pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

# (parameter, first row, last row) of each matrix; None for both: the whole parameter
Matrices = dict[str, tuple[str, int | None, int | None]]
# a function of (name, matrix, σ) that returns the normalized matrix
Rule = Callable[[str, Tensor, Tensor], Tensor]


def as_matrix(weight: Tensor, *, is_transposed: bool = False) -> Tensor:
    """``(output channels, everything else)``, one row for a vector."""
    if weight.dim() == 1:
        return weight[None]
    return (weight.transpose(0, 1) if is_transposed else weight).flatten(1)


def sigma_of(weight: Tensor, *, is_transposed: bool = False) -> Tensor:
    """The largest singular value, differentiable."""
    return torch.linalg.svdvals(as_matrix(weight, is_transposed=is_transposed))[0]


class Explicit:
    """A network of raw weights whose matrices are normalized by ``rule`` whenever it is called."""

    def __init__(self, module: nn.Module, matrices: Matrices, rule: Rule) -> None:
        self.module, self.matrices, self.rule = module, matrices, rule
        self.raw = {
            name: parameter.detach().clone().requires_grad_()
            for name, parameter in module.named_parameters()
        }

    def part(self, name: str, tensors: dict[str, Tensor]) -> Tensor:
        """One matrix of the network's parameters."""
        parameter, first, last = self.matrices[name]
        return tensors[parameter][first:last]

    def normalized(self) -> dict[str, Tensor]:
        """The parameters that the network computes with."""
        weights = dict(self.raw)
        parts: dict[str, list[tuple[int, Tensor]]] = {}
        for name, (parameter, first, _) in self.matrices.items():
            raw = self.part(name, self.raw)
            part = self.rule(name, raw, sigma_of(raw))
            parts.setdefault(parameter, []).append((first or 0, part))
        for parameter, rows in parts.items():
            weights[parameter] = torch.cat([part for _, part in sorted(rows, key=lambda r: r[0])])
            assert weights[parameter].shape == self.raw[parameter].shape
        return weights

    def __call__(self, *inputs: Any) -> Any:
        """The module's output, with normalized weights."""
        return functional_call(self.module, self.normalized(), inputs)
