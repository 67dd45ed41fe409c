"""Feature extractors of the user: a callable, ``package.module:name``, or the file of a network.

Opening such a file or name runs code of its author, so it is done only for a text that the user
has given:

- ``package.module:name`` imports the module;
- ``.pt`` and ``.ts`` are read by ``torch.jit.load``, which runs TorchScript and no Python;
- ``.pt2`` is read by ``torch.export.load``, which may unpickle any Python object in the file;
- ``.onnx`` is read by onnxruntime, which runs the operators that it knows.

No file is passed to ``torch.load`` without its protection, so a pickled module is refused.
"""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sngan.utils.checks import require
from sngan.utils.importing import import_object
from sngan.utils.text import class_and_line, first_line

Features = Callable[[Tensor], Any]
"""Maps samples to features ``(n, d)``, or ``(n, …)``, which are flattened."""


def imported(text: str) -> Features:
    """Import ``package.module:name``; a class is called without arguments first.

    Raises
    ------
    ValueError
        If it cannot be imported, or is no callable.
    """
    found = import_object(text, argument="extractor")
    if isinstance(found, type):
        found = found()
    require(callable(found), "extractor", expected="a callable", got=f"{type(found)} in {text}")
    return found


def from_file(path: Path) -> Features:
    """Load a network from a TorchScript, ``torch.export`` or ONNX file.

    If the file fixes the size of a batch, samples are passed in batches of this size.

    Raises
    ------
    ValueError
        If the file is missing or of another kind, or onnxruntime is needed and not installed.
    """
    require(path.is_file(), "extractor", expected="a file of a network", got=f"none at {path}")
    readers = {".onnx": _onnx, ".pt2": _exported}
    reader = readers.get(path.suffix.lower(), _scripted)
    try:
        with warnings.catch_warnings():
            # torch.jit is deprecated, but its files are what users have
            warnings.simplefilter("ignore")
            return reader(path)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"extractor: expected the package {error.name} for {path.name}, got none; "
            "pip install onnxruntime"
        ) from error
    except Exception as error:
        # each of these readers raises errors of many kinds on a damaged file
        kinds = {".onnx": "an ONNX", ".pt2": "a torch.export"}
        expected = f"{kinds.get(path.suffix.lower(), 'a TorchScript')} file"
        raise ValueError(
            f"extractor: expected {expected}, got {path} ({first_line(error)})"
        ) from error


def checked(function: Features, name: str) -> Callable[[Tensor], Tensor]:
    """Return a function that computes features, and refuses results that are none.

    Parameters
    ----------
    function
        The user's function. A module must be in eval mode, and parameters keep no gradient.
    name
        The name of the extractor, for errors.
    """
    if isinstance(function, nn.Module):
        trains = any(part.training for part in function.modules())
        require(not trains, "extractor", expected="a module in eval mode", got="one in training")

    def compute(samples: Tensor) -> Tensor:
        try:
            found = function(samples)
        except Exception as error:
            shape = tuple(samples.shape)
            raise ValueError(
                f"extractor: expected {name} to accept samples {shape}, got {class_and_line(error)}"
            ) from error
        got = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found)
        fits = isinstance(found, Tensor) and found.is_floating_point() and found.dim() >= 2
        fits = fits and len(found) == len(samples)
        expected = f"floating-point features of shape ({len(samples)}, d) from {name}"
        require(fits, "extractor", expected=expected, got=got)
        return found.detach().to(samples.device).flatten(1)

    return compute


def _scripted(path: Path) -> Features:
    network: Any = torch.jit.load(path, map_location="cpu").eval()

    def run(samples: Tensor) -> Any:
        return network.to(samples.device)(samples)

    return run


def _exported(path: Path) -> Features:
    program = torch.export.load(path)
    network = program.module()
    names = program.graph_signature.user_inputs
    values = [node.meta["val"] for node in program.graph.nodes if node.name in names]
    size = values[0].shape[0] if values and isinstance(values[0], Tensor) else None
    return _in_batches(lambda samples: network(samples.cpu()), size)


def _onnx(path: Path) -> Features:
    runtime: Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]

    def run(samples: Tensor) -> Tensor:
        values = samples.detach().cpu().contiguous().numpy()
        return torch.from_numpy(session.run(None, {entry.name: values})[0])

    return _in_batches(run, entry.shape[0] if entry.shape else None)


def _in_batches(function: Features, size: Any) -> Features:
    """Call a function with batches of ``size``, the last one filled up with its first sample."""
    if not isinstance(size, int):
        return function

    def compute(samples: Tensor) -> Tensor:
        missing = -len(samples) % size
        filled = torch.cat([samples, samples[:1].expand(missing, *samples.shape[1:])])
        return torch.cat([function(part) for part in filled.split(size)])[: len(samples)]

    return compute
