"""Dense matrices of layers, computed by calling them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def matrix_of(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix of a layer: its outputs for unit vectors, minus its output for 0."""
    return matrix_of_map(layer.double(), shape)


def truth(layer: nn.Module, shape: tuple[int, ...]) -> float:
    return float(torch.linalg.svdvals(matrix_of(layer, shape))[0])


@torch.no_grad()
def matrix_of_map(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Tensor:
    size = math.prod(shape)
    outputs = function(torch.eye(size, dtype=torch.float64).view(size, *shape))
    zero = function(torch.zeros(1, *shape, dtype=torch.float64))
    return (outputs - zero).flatten(1).t()
