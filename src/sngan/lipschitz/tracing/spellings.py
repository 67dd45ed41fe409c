"""Spellings of torch's functions: one for each operation, and fused ones written out in parts."""

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_OPERATORS: dict[Any, Any] = {
    Tensor.__setitem__: operator.setitem,
    Tensor.__getitem__: operator.getitem,
}


def common_spelling(function: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return ``getattr`` for an attribute of a tensor, and an operator for a special method."""
    owner = getattr(function, "__self__", None)
    if inspect.isgetsetdescriptor(owner) and function.__name__ == "__get__":
        return getattr, (args[0], owner.__name__)
    return _OPERATORS.get(function, function), args


def written_out(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], Any] | None:
    """Return a call of the sums and products that a fused function stands for, or None.

    Parameters
    ----------
    function
        A function of torch, such as ``torch.addcmul``.
    args, kwargs
        The arguments of its call. Calls with ``out`` or in an outdated order are not written out.
    """
    parts = _FUSED.get(function)
    if parts is None:
        return None
    try:
        bound = inspect.signature(parts).bind(*args, **kwargs)
    except TypeError:
        return None
    return lambda: parts(*bound.args, **bound.kwargs)


def _addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    return torch.add(input, torch.mul(tensor1, tensor2), alpha=value)


def _addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    return torch.add(input, torch.div(tensor1, tensor2), alpha=value)


def _lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    return torch.add(torch.mul(input, 1 - weight), torch.mul(end, weight))


def _addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    product = torch.mul(torch.matmul(mat1, mat2), alpha)
    # torch ignores the first tensor where beta is 0, even if it is not finite
    return product if beta == 0 else torch.add(product, input, alpha=beta)


def _addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return _addmm(input, mat, vec, beta=beta, alpha=alpha)


def _baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    return _addmm(input, batch1, batch2, beta=beta, alpha=alpha)


def _in_place(parts: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(parts)
    def write(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.copy_(parts(input, *args, **kwargs))

    return write


def _fused() -> dict[Any, Callable[..., Tensor]]:
    found: dict[Any, Callable[..., Tensor]] = {}
    for parts in (_addcmul, _addcdiv, _lerp, _addmm, _addmv, _baddbmm):
        name = parts.__name__[1:]
        found |= {getattr(torch, name): parts, getattr(Tensor, name): parts}
        found[getattr(Tensor, f"{name}_")] = _in_place(parts)
    return found


_FUSED = _fused()
