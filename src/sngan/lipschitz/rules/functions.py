"""Tensor functions and methods: their constants where one argument depends on the input."""

import math
from collections.abc import Hashable
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.constants import STRUCTURE, LipschitzConstant, unbounded
from sngan.lipschitz.registry import HOW_TO_REGISTER
from sngan.lipschitz.rounding import multiply_up, sqrt_up
from sngan.lipschitz.rules import activations, functional
from sngan.lipschitz.rules.calls import CallRule, FunctionCall, broadcast_gain, scale_constant
from sngan.lipschitz.rules.combining import COMBINING
from sngan.lipschitz.rules.linear import linear_constant
from sngan.lipschitz.rules.names import functions_named
from sngan.lipschitz.structures import tensors_in


def torch_name(target: Any) -> str:
    """Return the common name of a function or method of torch, or an empty text."""
    return _NAMES.get(target, "") if isinstance(target, Hashable) else ""


def function_constant(call: FunctionCall) -> LipschitzConstant:
    """Return the constant of a call in which only ``args[0]`` depends on the network's input."""
    if not _is_real(call.result):
        return unbounded(f"{call.name or 'it'} gives values that are not real numbers")
    if call.is_second:
        return _with_tensor_second(call)
    if call.name in activations.FUNCTIONS:
        constant = activations.FUNCTIONS[call.name](call.option)
        # constant arguments may broadcast the tensor
        return scale_constant(constant, broadcast_gain(call.args[0], call.result))
    if call.name in _RULES:
        return _RULES[call.name](call)
    return unbounded(f"no known constant; {HOW_TO_REGISTER}")


def _is_real(result: Any) -> bool:
    """Whether a part of the result is real; a later call that takes only an index is refused."""
    return any(tensor.is_floating_point() for tensor in tensors_in(result))


def _affine(sigma: float) -> LipschitzConstant:
    return LipschitzConstant(sigma, "closed_form", affine=True)


def _moved_elements(call: FunctionCall) -> LipschitzConstant:
    """Return the constant of moving elements: √(copies of the most copied element).

    The call runs again on the numbers 1, 2, … in place of the elements. So each number in the
    result says which element was copied there; other numbers are constants that the call inserts.
    """
    tensor: Any = call.args[0]
    if not isinstance(tensor, Tensor):
        # getitem takes one of several values that an operation returned as a tuple
        return STRUCTURE
    if call.name == "view" and any(isinstance(part, torch.dtype) for part in call.options):
        return unbounded("it reads the bits of its input as other numbers")
    count = tensor.numel()
    numbers = torch.arange(1, count + 1, dtype=torch.float64, device=tensor.device)
    moved = call.function(numbers.view(tensor.shape), *call.options, **call.kwargs)
    repeated = 0
    for part in tensors_in(moved):
        own = part[(part >= 1) & (part <= count) & (part == part.round())].long()
        repeated = max(repeated, int(torch.bincount(own.flatten()).max()) if own.numel() else 0)
    return STRUCTURE if repeated <= 1 else _affine(sqrt_up(float(repeated)))


def _strided(call: FunctionCall) -> LipschitzConstant:
    tensor = call.args[0]
    is_whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return _moved_elements(call) if is_whole else unbounded("it reads memory beside its tensor")


def _attribute(call: FunctionCall) -> LipschitzConstant:
    if call.args[1] in ("T", "mT", "H", "mH", "data", "real"):
        return STRUCTURE
    return unbounded(f"no known constant of the attribute {call.args[1]}")


def _zero(_call: FunctionCall) -> LipschitzConstant:
    return LipschitzConstant(0.0, "closed_form")


def _sum(call: FunctionCall) -> LipschitzConstant:
    return _affine(sqrt_up(call.args[0].numel() / max(call.result.numel(), 1)))


def _mean(call: FunctionCall) -> LipschitzConstant:
    count = call.args[0].numel() / max(call.result.numel(), 1)
    return _affine(1.0 if count == 1 else (1 + 1e-15) / math.sqrt(count))


def _extremum_or_sort(_call: FunctionCall) -> LipschitzConstant:
    # |max a − max b| ≤ max |a − b| ≤ ‖a − b‖, and sorting brings no two vectors further apart
    return LipschitzConstant(1.0, "closed_form")


def _scaling(call: FunctionCall) -> LipschitzConstant:
    if len(call.args) != 2 or call.kwargs or not isinstance(call.args[1], Tensor | Real):
        return unbounded(f"{call.name} with options has no known constant")
    other = torch.as_tensor(call.args[1], dtype=torch.float64).abs()
    if other.numel() == 0:
        return _zero(call)
    if call.name == "div":
        # room for one rounded division; a float32 option is converted without rounding
        sigma = math.inf if other.min() == 0 else (1 + 1e-15) / other.min().item()
    else:
        sigma = other.max().item()
    if not math.isfinite(sigma):
        return unbounded("it divides by zero or scales by a number that is not finite")
    return _affine(multiply_up(sigma, broadcast_gain(call.args[0], call.result)))


def _linear(call: FunctionCall) -> LipschitzConstant:
    weight: Tensor = call.option(0, "weight", None)
    return _constant_of_matrix(weight if weight.dim() == 2 else weight[None])


def _matmul(call: FunctionCall) -> LipschitzConstant:
    """Return the constant of ``x @ W`` with a vector, a matrix or a stack of matrices W."""
    tensor, other = call.args[0], call.options[0]
    matrices = other if other.dim() > 1 else other[:, None]
    if matrices.dim() == 2:
        return _constant_of_matrix(matrices.t())
    if tensor.dim() < 2:
        return unbounded("a product of a vector with a stack of matrices has no known constant")
    return _constant_of_matrices(matrices, tensor, call.result)


def _with_tensor_second(call: FunctionCall) -> LipschitzConstant:
    """Return the constant of ``c * x`` or ``W @ x``, where the tensor is the second argument."""
    if call.name == "mul":
        return _scaling(call)
    if call.name not in ("matmul", "bmm"):
        return unbounded("no known constant with the tensor in second place")
    other, tensor = call.options[0], call.args[0]
    matrices = other if other.dim() > 1 else other[None]
    if matrices.dim() == 2:
        return _constant_of_matrix(matrices)
    if tensor.dim() < 2:
        return unbounded("a product of a stack of matrices with a vector has no known constant")
    return _constant_of_matrices(matrices, tensor, call.result)


def _constant_of_matrices(matrices: Tensor, tensor: Tensor, result: Tensor) -> LipschitzConstant:
    """Return the constant of a stack of matrices; it may multiply several copies of the tensor."""
    if matrices.numel() == 0 or not bool(matrices.isfinite().all()):
        return unbounded("its matrices are empty or not finite")
    norms = torch.linalg.matrix_norm(matrices.double(), 2)
    repeated = math.prod(result.shape[:-2]) / max(math.prod(tensor.shape[:-2]), 1)
    return _affine(multiply_up(float(norms.max()) * (1 + 1e-9), sqrt_up(max(repeated, 1.0))))


def _constant_of_matrix(weight: Tensor) -> LipschitzConstant:
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.detach().double())
    return linear_constant(layer, (weight.shape[1],))


# functions whose result has only elements of the tensor and constants
_MOVING = (
    *("flatten", "reshape", "view", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"),
    *("permute", "transpose", "t", "movedim", "moveaxis", "adjoint", "ravel", "contiguous"),
    *("clone", "detach", "double", "to", "type", "type_as", "cpu", "cuda", "requires_grad_"),
    *("alias", "conj", "resolve_conj", "resolve_neg", "neg", "positive", "lift_fresh"),
    *("flip", "fliplr", "flipud", "roll", "rot90", "pixel_shuffle", "pixel_unshuffle"),
    *("channel_shuffle", "native_channel_shuffle", "expand", "expand_as", "repeat", "tile"),
    *("broadcast_to", "repeat_interleave", "tril", "triu", "diag", "diagonal", "diag_embed"),
    *("chunk", "split", "split_with_sizes", "tensor_split", "hsplit", "vsplit", "dsplit"),
    *("unbind", "narrow", "select", "index_select", "gather", "take", "take_along_dim"),
    *("masked_select", "masked_fill", "unfold", "atleast_1d", "atleast_2d", "atleast_3d"),
    "getitem",
)
_RULES: dict[str, CallRule] = {
    **functional.RULES,
    **dict.fromkeys(_MOVING, _moved_elements),
    **dict.fromkeys(("amax", "amin", "max", "min", "sort", "topk", "msort"), _extremum_or_sort),
    **dict.fromkeys(("mul", "div"), _scaling),
    **dict.fromkeys(("matmul", "bmm"), _matmul),
    **dict.fromkeys(("zero", "fill"), _zero),
    "as_strided": _strided,
    "getattr": _attribute,
    "sum": _sum,
    "mean": _mean,
    "linear": _linear,
}
PRODUCTS = ("mul", "div", "matmul", "bmm", "einsum", "scaled_dot_product_attention")
_NAMES = functions_named([*activations.FUNCTIONS, *_RULES, *COMBINING, *PRODUCTS])
