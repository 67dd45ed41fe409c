"""Real numbers from tensors, arrays and lists, checked and in float64."""

import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.masked import MaskedTensor

from sngan.utils.text import first_line

Array: TypeAlias = NDArray[np.float64]
Reals: TypeAlias = Tensor | NDArray[np.floating[Any]] | Sequence[Any]


def real_array(values: Reals, name: str, *, expected: str) -> Array:
    """Return the numbers of a floating-point tensor or array, or of a list, as a float64 array.

    Integers are accepted in lists only, where people write 1 for 1.0: an array of integers more
    often holds labels, or pixels that nobody has scaled.

    Parameters
    ----------
    values
        The numbers.
    name, expected
        The name of the argument, and the words for the expected value, for errors.

    Raises
    ------
    ValueError
        If the values are integers, complex numbers or no numbers, or are sparse, masked, or on the
        meta device.
    """
    if isinstance(values, Tensor):
        require_dense(values, name, expected=expected)
        return values.detach().cpu().double().resolve_neg().numpy()
    return _unmasked(values, name, expected)


def real_tensor(values: Reals, name: str, *, expected: str, integers: bool = False) -> Tensor:
    """Return a float64 tensor on the device of ``values`` if that is a tensor, else on the CPU.

    Parameters
    ----------
    values, name
        The numbers, and the name of the argument for errors.
    expected
        The words for the expected value in errors.
    integers
        Accept integers in tensors and arrays too.

    Raises
    ------
    ValueError
        If the values are of a kind that :func:`real_array` refuses too.
    """
    if isinstance(values, Tensor):
        require_dense(values, name, expected=expected, integers=integers)
        return values.detach().to(torch.float64)
    array = _unmasked(values, name, expected, integers=integers)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def require_dense(values: Tensor, name: str, *, expected: str, integers: bool = False) -> None:
    """Raise unless a tensor is dense, has no mask, and holds floats (or, if allowed, integers).

    Parameters
    ----------
    values
        The tensor.
    name, expected
        The name of the argument, and the words for the expected value, for errors.
    integers
        Accept integers too.
    """
    if isinstance(values, MaskedTensor):
        _refuse(name, f"{expected}, without a mask", "a MaskedTensor")
    if values.layout != torch.strided or values.is_nested:
        kind = "nested" if values.is_nested else str(values.layout)
        _refuse(name, f"{expected}, dense", f"a tensor of layout {kind}: call .to_dense() first")
    if values.is_meta:
        _refuse(name, expected, "a tensor on the meta device, which holds no values")
    is_integer = not (values.is_complex() or values.dtype == torch.bool or values.is_quantized)
    if not (values.is_floating_point() or (integers and is_integer)):
        _refuse(name, expected, f"{values.dtype} {tuple(values.shape)}")


def _unmasked(values: Any, name: str, expected: str, *, integers: bool = False) -> Array:
    is_list = isinstance(values, list | tuple)
    if not is_list and not hasattr(values, "__array__"):
        _refuse(name, expected, type(values).__name__)
    try:
        with warnings.catch_warnings():
            # NumPy warns where a masked element becomes nan
            warnings.simplefilter("error", UserWarning)
            # np.asarray would lose the masks inside a list
            array: NDArray[Any] = np.ma.asarray(values) if is_list else np.asanyarray(values)
    except UserWarning as warning:
        _refuse(name, f"{expected}, without masked values", f"a list with some ({warning})")
    except (TypeError, ValueError, RuntimeError) as error:
        _refuse(name, expected, f"a {type(values).__name__} that is no array ({first_line(error)})")
    hidden = int(np.ma.count_masked(array))
    if hidden:
        got = f"a masked array, {hidden} of {array.size} values masked"
        _refuse(name, f"{expected}, without masked values", f"{got}: leave them out first")
    if array.dtype.kind not in ("fiu" if is_list or integers else "f"):
        _refuse(name, expected, f"{array.dtype} {array.shape}")
    # a number of a longer type may overflow; callers refuse infinite numbers
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)


def _refuse(name: str, expected: str, got: str) -> NoReturn:
    raise ValueError(f"{name}: expected {expected}, got {got}")
