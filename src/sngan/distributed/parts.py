"""Parts of a tensor, read from files and joined into the whole tensor."""

import math

import torch
from torch import Tensor

from sngan.utils.tensor_files import DamagedFileError


def join_parts(
    parts: list[tuple[tuple[int, ...], Tensor]],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    *,
    name: str,
) -> Tensor:
    """Join the parts of a tensor, each with the place where it begins.

    Parameters
    ----------
    parts
        The start and the tensor of each part.
    shape, dtype
        The shape and type of the whole tensor.
    name
        The name of the tensor in errors.

    Raises
    ------
    DamagedFileError
        If the parts do not cover the tensor exactly once.
    """
    # this check comes before memory of that size is allocated
    is_of_shape = all(part.dim() == len(start) == len(shape) for start, part in parts)
    if not is_of_shape or sum(part.numel() for _, part in parts) != math.prod(shape):
        raise DamagedFileError(f"{name}: its parts are not as large as the tensor")
    ends = [
        max(start[dim] + part.shape[dim] for start, part in parts) if parts else size
        for dim, size in enumerate(shape)
    ]
    if ends != list(shape):
        raise DamagedFileError(f"{name}: its parts do not end where the tensor ends")
    whole, seen = torch.empty(shape, dtype=dtype), torch.zeros(shape, dtype=torch.bool)
    for start, part in parts:
        place = tuple(slice(at, at + size) for at, size in zip(start, part.shape, strict=True))
        if whole[place].shape != part.shape or min(start, default=0) < 0 or seen[place].any():
            raise DamagedFileError(f"{name}: its parts do not fit each other")
        whole[place], seen[place] = part, True
    return whole
