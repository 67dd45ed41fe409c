"""Weights of a published network from a local file, without running code of the file."""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sngan.utils.checks import require
from sngan.utils.text import first_line


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from safetensors, from ``torch.save``, or from a TorchScript archive.

    Only tensors are unpickled. CLIP was published as TorchScript; its code is loaded and not run.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or holds anything but named tensors.
    """
    require(path.is_file(), "weights", expected="a file of weights", got=f"none at {path}")
    try:
        state = _read(path)
    except Exception as error:
        # a damaged file raises errors of many kinds
        raise ValueError(
            f"weights: expected named tensors in {path}, got {first_line(error)}"
        ) from error
    fits = isinstance(state, Mapping) and all(isinstance(one, Tensor) for one in state.values())
    require(fits, "weights", expected=f"named tensors in {path}", got=f"{type(state).__name__}")
    return dict(state)


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if _is_scripted(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated
            return torch.jit.load(path, map_location="cpu").state_dict()
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_scripted(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
