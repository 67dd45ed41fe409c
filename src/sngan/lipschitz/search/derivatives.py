"""Jacobian products by autograd, and norms of single samples in a batch."""

import math

import torch
from torch import Tensor

DUAL = {"2": "2", "1": "inf", "inf": "1"}
"""The dual of each norm."""


def vjp(y: Tensor, x: Tensor, u: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return ``Jᵀu`` for the Jacobian J of y with respect to x."""
    (found,) = torch.autograd.grad(
        y, x, u, create_graph=create_graph, retain_graph=True, allow_unused=True,
        materialize_grads=True,
    )  # fmt: skip
    return found


def jvp(y: Tensor, x: Tensor, v: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return ``Jv``, as the derivative of ``(Jᵀu)·v`` with respect to u."""
    u = torch.zeros_like(y, requires_grad=True)
    jt_u = vjp(y, x, u, create_graph=True)
    if not jt_u.requires_grad:
        return torch.zeros_like(y)
    return vjp((jt_u * v).sum(), u, torch.ones_like(jt_u.sum()), create_graph=create_graph)


def gradient(value: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of one number."""
    return vjp(value, x, torch.ones_like(value))


def sample_norms(tensor: Tensor) -> Tensor:
    """Return the Euclidean norm of each sample; no square overflows."""
    flat = tensor.flatten(1)
    largest = torch.linalg.vector_norm(flat.detach(), math.inf, dim=1, keepdim=True)
    exponent = torch.frexp(largest).exponent.where(largest.isfinite(), 0).clamp(-1000, 1000)
    size = torch.ldexp(torch.ones_like(largest), exponent)
    return torch.linalg.vector_norm(flat / size, dim=1) * size[:, 0]


def norm_of_samples(tensor: Tensor, norm: str) -> Tensor:
    """Return the norm ``"2"``, ``"1"`` or ``"inf"`` of each sample."""
    if norm == "2":
        return sample_norms(tensor)
    return torch.linalg.vector_norm(tensor.flatten(1), float(norm), dim=1)


def aligned_vectors(tensor: Tensor, norm: str) -> Tensor:
    """Return for each sample t the vector v of this norm 1 with the largest ``⟨v, t⟩``."""
    if norm == "2":
        return unit_vectors(tensor)
    if norm == "inf":
        return torch.where(tensor < 0, -1.0, 1.0).to(tensor.dtype)
    flat = tensor.flatten(1)
    place = flat.abs().argmax(dim=1, keepdim=True)
    sign = torch.where(flat.gather(1, place) < 0, -1.0, 1.0).to(tensor.dtype)
    return torch.zeros_like(flat).scatter(1, place, sign).reshape(tensor.shape)


def point_sizes(points: Tensor) -> Tensor:
    """Return the norm of each point, or 1 where it is smaller."""
    return sample_norms(points).clamp_min(1.0)


def unit_vectors(tensor: Tensor) -> Tensor:
    """Divide each sample by its norm."""
    return tensor / expand_like(sample_norms(tensor).clamp_min(1e-300), tensor)


def expand_like(values: Tensor, like: Tensor) -> Tensor:
    """Give one number for each sample the dimensions of ``like``, for broadcasting."""
    return values.view(-1, *[1] * (like.dim() - 1))
