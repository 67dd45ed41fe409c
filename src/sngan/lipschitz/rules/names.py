"""Names of torch's functions: one name for all spellings, and the order of tensor arguments."""

import operator
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_METADATA = (
    *("size", "dim", "ndimension", "numel", "nelement", "stride", "element_size", "__len__"),
    *("is_contiguous", "is_floating_point", "is_complex", "is_signed", "get_device"),
    *("storage_offset", "is_pinned", "is_shared", "is_inference", "has_names"),
    *("is_same_size", "result_type", "register_hook", "retain_grad"),
)
# attributes that depend on the shape, type or device of a tensor and not on its values
_ATTRIBUTES = frozenset(
    (
        *("shape", "ndim", "device", "dtype", "layout", "requires_grad", "grad", "grad_fn"),
        *("is_leaf", "is_cuda", "is_cpu", "is_mps", "is_meta", "is_sparse", "is_quantized"),
        *("is_nested", "is_mkldnn", "itemsize", "nbytes", "names", "_version", "retains_grad"),
    )
)
_FACTORIES = (
    *("zeros_like", "ones_like", "empty_like", "full_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty"),
)
_ALIASES = {
    **dict.fromkeys(("divide", "true_divide", "truediv"), "div"),
    **dict.fromkeys(("concat", "concatenate"), "cat"),
    **dict.fromkeys(("row_stack",), "vstack"),
    **dict.fromkeys(("mm", "mv", "__matmul__"), "matmul"),
    **dict.fromkeys(("fmax",), "maximum"),
    **dict.fromkeys(("fmin",), "minimum"),
    "subtract": "sub",
    "multiply": "mul",
    "__rsub__": "rsub",
    "arctan": "atan",
    "clip": "clamp",
    "negative": "neg",
    "absolute": "abs",
    "expit": "sigmoid",
    "swapaxes": "transpose",
    "swapdims": "transpose",
}
# the names of the leading tensor arguments, for functions that have more than ``input``
_TENSOR_ARGUMENTS = {
    **dict.fromkeys(
        ("add", "sub", "rsub", "mul", "div", "maximum", "minimum", "max", "min"),
        ("input", "other"),
    ),
    **dict.fromkeys(("cat", "stack", "hstack", "vstack", "dstack", "column_stack"), ("tensors",)),
    "matmul": ("input", "other"),
    "bmm": ("input", "mat2"),
    "where": ("condition", "input", "other"),
}


# functions whose arguments differ from those of the function with the same name
_OTHER_ARGUMENTS: tuple[Any, ...] = (torch.batch_norm, F.elu_)


def functions_named(known: Iterable[str]) -> dict[Any, str]:
    """Return torch's functions, methods and operators with these names, also those in place."""
    names: dict[Any, str] = {getattr: "getattr", operator.getitem: "getitem"}
    names[operator.setitem] = "setitem"
    for name in [*known, *_ALIASES]:
        for spelled in (name, f"{name}_"):
            for namespace in (torch, F, Tensor, torch.special):
                function = getattr(namespace, spelled, None)
                if callable(function) and function not in _OTHER_ARGUMENTS:
                    names[function] = _ALIASES.get(name, name)
    # Tensor.where takes the condition in second place
    return names | {Tensor.where: "where of a tensor"}


def is_metadata_call(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether the result of a call depends on the shape, type or device of a tensor alone."""
    if function is getattr:
        return args[1] in _ATTRIBUTES
    return function in _METADATA_FUNCTIONS


def is_like_factory(function: Any) -> bool:
    """Whether a function creates a tensor with the shape of another one, such as ``zeros_like``."""
    return function in _FACTORY_FUNCTIONS


def _functions(names: Iterable[str]) -> frozenset[Any]:
    found = [getattr(space, name, None) for space in (torch, Tensor) for name in names]
    return frozenset(function for function in found if callable(function))


def with_positional_tensors(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with all leading tensors in their places instead of by keyword.

    Parameters
    ----------
    name
        The common name of the function.
    args
        The positional arguments of a call.
    kwargs
        Its keyword arguments.
    """
    places, rest = list(args), dict(kwargs)
    # the call overwrites all of ``out``, so its old values do not matter
    rest.pop("out", None)
    for tensor in _TENSOR_ARGUMENTS.get(name, ("input",))[len(places) :]:
        if tensor not in rest:
            break
        places.append(rest.pop(tensor))
    return tuple(places), rest


_METADATA_FUNCTIONS, _FACTORY_FUNCTIONS = _functions(_METADATA), _functions(_FACTORIES)
