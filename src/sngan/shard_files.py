"""Sharded tensors on disk: a folder to which each rank writes its own parts, tensors alone.

By ``torch.distributed.checkpoint``, which pickles an index of the tensors. It is read by an
unpickler that knows the few classes of such an index and refuses all others; the tensors are read
with ``weights_only``. So no code that somebody put into a file is run.
"""

import io
import pickle
import warnings
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

if TYPE_CHECKING:
    from torch.distributed.checkpoint.metadata import Metadata
    from torch.distributed.tensor import DTensor

_INDEX = ".metadata"


def write_shards(tensors: "Mapping[str, DTensor]", folder: Path) -> None:
    """Write each rank's parts, flushed to the disk; the index is written last. Collective.

    Raises
    ------
    OSError
        A rank could not write.
    """
    # half a second of import time that other runs should not pay
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        save(dict(tensors), storage_writer=FileSystemWriter(folder))
    except CheckpointException as error:
        raise OSError(f"{folder}: {_reason(error)}") from error


def read_shards(folder: Path) -> dict[str, Tensor]:
    """Read whole tensors, on the CPU of this process alone, whatever the number that wrote them.

    Raises
    ------
    OSError
        A file is missing.
    pickle.UnpicklingError
        A file is damaged, or is none of :func:`write_shards`.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    index = _read_index(folder)
    entries = index.state_dict_metadata if isinstance(index, Metadata) else {"": None}
    tensors: dict[str, Tensor] = {}
    for name, entry in entries.items():
        if not isinstance(entry, TensorStorageMetadata):
            raise pickle.UnpicklingError(f"{folder}: not an index of tensors")
        tensors[name] = torch.empty(entry.size, dtype=entry.properties.dtype)

    class Reader(FileSystemReader):
        @override
        def read_metadata(self, *args: Any, **kwargs: Any) -> "Metadata":
            return index

    try:
        with warnings.catch_warnings():
            # torch warns of what is meant here: to read in one process
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            load(tensors, storage_reader=Reader(folder), no_dist=True)
    except CheckpointException as error:
        raise pickle.UnpicklingError(f"{folder}: {_reason(error)}") from error
    return tensors


def _read_index(folder: Path) -> Any:
    return _Unpickler(io.BytesIO((folder / _INDEX).read_bytes())).load()


class _Unpickler(pickle.Unpickler):
    @override
    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or name in _CLASSES.get(module, ()):
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            return _member
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an index of tensors")


def _member(kind: Any, name: str) -> Any:
    """A member of an enum, which Python before 3.11.4 pickles as ``getattr``; nothing else."""
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise pickle.UnpicklingError(f"getattr of {kind!r} is no part of an index of tensors")
    return kind[name]


_CLASSES = {
    "pathlib": ("Path", "PosixPath", "WindowsPath"),
    # their module in Python 3.13
    "pathlib._local": ("Path", "PosixPath", "WindowsPath"),
    "torch": ("Size",),
    "torch.serialization": ("_get_layout",),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.distributed.checkpoint.metadata": (
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
}


def _reason(error: BaseException) -> str:
    """The first line that says what was wrong, on the first rank that failed."""
    failures = getattr(error, "failures", {})
    cause = next((failure for failure, _ in failures.values()), error)
    return (str(cause).splitlines() or [type(cause).__name__])[0]
