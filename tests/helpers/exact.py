"""Piecewise linear networks in exact fractions: values, Jacobians, and norms rounded down."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from helpers.networks import Residual


class Difference(nn.Module):
    """``f(x) − g(x)``."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return self.first(x) - self.second(x)


class Both(nn.Module):
    """The outputs of two branches one after the other."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return torch.cat([self.first(x), self.second(x)], dim=1)


def fractions(values):
    """Fractions of the elements of a tensor or array, each equal to its float."""
    array = np.asarray(values, dtype=np.float64)
    return np.array([Fraction(float(v)) for v in array.flatten()], object).reshape(array.shape)


@dataclass
class Exact:
    """The value and the Jacobian at a point; ``kinks`` has ``(distance, gradient)`` of each kink.

    ``is_smooth`` is false where a kink is met exactly, so that there is no Jacobian.
    """

    value: np.ndarray
    jacobian: np.ndarray
    kinks: list = field(default_factory=list)
    is_smooth: bool = True


def exact(module, point):
    """Return the value and the Jacobian of a module at a point of fractions."""
    eye = np.array([[Fraction(int(i == j)) for j in range(len(point))] for i in range(len(point))])
    return _apply(module, Exact(np.array(point, object), eye))


def _apply(module, at):
    if isinstance(module, nn.Sequential):
        for part in module:
            at = _apply(part, at)
        return at
    if isinstance(module, nn.Flatten | nn.Unflatten | nn.Identity):
        return at
    if isinstance(module, Residual):
        return _sum(at, _apply(module.branch, at), 1)
    if isinstance(module, Difference):
        return _sum(_apply(module.first, at), _apply(module.second, at), -1)
    if isinstance(module, Both):
        a, b = _apply(module.first, at), _apply(module.second, at)
        values, rows = (np.concatenate(p) for p in ((a.value, b.value), (a.jacobian, b.jacobian)))
        return _joined(a, b, values, rows)
    if isinstance(module, nn.MaxPool1d):
        return _largest(at, module.kernel_size)
    breaks, slopes = _pieces(module)
    if breaks is None:
        matrix, offset = _affine(module, len(at.value))
        return Exact(matrix @ at.value + offset, matrix @ at.jacobian, at.kinks, at.is_smooth)
    return _bent(at, breaks, slopes)


def _sum(a, b, sign):
    return _joined(a, b, a.value + sign * b.value, a.jacobian + sign * b.jacobian)


def _joined(a, b, value, jacobian):
    return Exact(value, jacobian, a.kinks + b.kinks, a.is_smooth and b.is_smooth)


def _affine(module, inputs):
    """The exact matrix and offset: products with unit vectors have no rounding errors."""
    if isinstance(module, nn.Linear):
        bias = torch.zeros(len(module.weight)) if module.bias is None else module.bias
        return fractions(module.weight.detach()), fractions(bias.detach())
    if isinstance(module, nn.BatchNorm1d):
        scale = [
            Fraction(float(w)) / _root(Fraction(float(v)) + Fraction(module.eps))
            for w, v in zip(
                module.weight.detach().double(), module.running_var.double(), strict=True
            )
        ]
        means, bias = fractions(module.running_mean), fractions(module.bias.detach())
        return np.diag(np.array(scale, object)), bias - np.array(scale, object) * means
    channels = module.in_channels if isinstance(module, nn.Conv1d) else 1
    eye = torch.eye(inputs, dtype=torch.float64).reshape(inputs, channels, -1)
    copied = (
        nn.Conv1d(
            channels, module.out_channels, module.kernel_size, padding=module.padding, bias=False
        ).double()
        if isinstance(module, nn.Conv1d)
        else module
    )
    if isinstance(module, nn.Conv1d):
        copied.weight.data = module.weight.detach().double()
    with torch.no_grad():
        matrix = copied(eye).flatten(1).t()
    offset = torch.zeros(len(matrix), dtype=torch.float64)
    if isinstance(module, nn.Conv1d) and module.bias is not None:
        offset = module.bias.detach().double().repeat_interleave(len(matrix) // len(module.bias))
    return fractions(matrix), fractions(offset)


def _root(square):
    root = Fraction(float(square) ** 0.5)
    assert root * root == square, "the generator makes perfect squares"
    return root


def _pieces(module):
    if isinstance(module, nn.ReLU):
        return [0], [0, 1]
    if isinstance(module, nn.LeakyReLU):
        return [0], [Fraction(module.negative_slope), 1]
    if isinstance(module, nn.Hardtanh):
        return [Fraction(module.min_val), Fraction(module.max_val)], [0, 1, 0]
    return None, None


def _bent(at, breaks, slopes):
    values, rows, smooth = at.value.copy(), at.jacobian.copy(), at.is_smooth
    kinks = list(at.kinks)
    for i, z in enumerate(at.value):
        place = sum(z > point for point in breaks)
        smooth = smooth and all(z != point for point in breaks)
        kinks += [(z - point, at.jacobian[i]) for point in breaks]
        values[i], rows[i] = _bend(z, breaks, slopes), slopes[place] * at.jacobian[i]
    return Exact(values, rows, kinks, smooth)


def _bend(z, breaks, slopes):
    """The continuous function of these slopes that is the identity, or 0, at its first break."""
    if len(breaks) == 1:
        return z * slopes[int(z > 0)]
    return min(max(z, breaks[0]), breaks[1])


def _largest(at, size):
    groups = [range(start, start + size) for start in range(0, len(at.value) - size + 1, size)]
    kinks, chosen, smooth = list(at.kinks), [], at.is_smooth
    for group in groups:
        best = max(group, key=lambda i: at.value[i])
        chosen.append(best)
        for other in group:
            if other != best:
                gap = at.value[best] - at.value[other]
                smooth = smooth and gap != 0
                kinks.append((gap, at.jacobian[best] - at.jacobian[other]))
    return Exact(at.value[chosen], at.jacobian[chosen], kinks, smooth)


def norm_below(matrix, norm):
    """The norm of a matrix of fractions, rounded down; a power of 2 keeps it in range."""
    largest = max((abs(v) for v in matrix.flatten()), default=Fraction(0))
    if largest == 0:
        return Fraction(0)
    power = Fraction(2) ** (largest.numerator.bit_length() - largest.denominator.bit_length())
    if norm != "2":
        sums = np.abs(matrix).sum(axis=1 if norm == "inf" else 0)
        return max(sums)
    floats = (matrix / power).astype(np.float64)
    return power * Fraction(float(np.linalg.norm(floats, 2)) * (1 - 1e-13))
