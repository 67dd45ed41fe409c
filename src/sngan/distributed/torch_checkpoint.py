"""Reader for folders of ``torch.distributed.checkpoint``, as earlier versions wrote them.

Their index ``.metadata`` is a pickle. It is read as plain data: nothing that it names is imported
or called. A file holds one archive after another, one for each part, with its own checksums.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sngan.distributed.parts import join_parts
from sngan.utils.plain_pickle import Name, NotPlainError, Object, read_pickle
from sngan.utils.tensor_files import DTYPES, DamagedFileError, read_archive

INDEX = ".metadata"
_METADATA = "torch.distributed.checkpoint.metadata"
_PATHS = ("Path", "PosixPath", "WindowsPath")
_NAMES = frozenset(
    [Name("torch", name) for name in ("Size", *DTYPES)]
    + [Name(module, name) for module in ("pathlib", "pathlib._local") for name in _PATHS]
    # pickles of Python before 3.11.4 name enum members in this way
    + [Name("builtins", "getattr"), Name("torch.serialization", "_get_layout")]
    + [Name("torch.distributed.checkpoint.filesystem", "_StorageInfo")]
    + [
        Name(_METADATA, name)
        for name in (
            "ChunkStorageMetadata",
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        )
    ]
)


class _Piece(NamedTuple):
    """A part of a tensor, which begins at ``start`` in the tensor, and its place in a file."""

    tensor: str
    start: tuple[int, ...]
    file: str
    offset: int
    length: int


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read whole tensors; any number of processes may have written them.

    Raises
    ------
    DamagedFileError
        If a file is damaged, or the index does not describe tensors.
    OSError
        If a file is missing.
    """
    try:
        index = read_pickle((folder / INDEX).read_bytes(), names=_NAMES)
        state = _state(index, "Metadata")
        entries = state["state_dict_metadata"].items()
        shapes = {str(name): _shape_and_type(entry) for name, entry in entries}
        pieces = list(_pieces(state["storage_data"]))
    except NotPlainError as error:
        raise DamagedFileError(f"{folder / INDEX}: {error}") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{folder / INDEX}: not an index of tensors") from error
    return _assembled(folder, shapes, pieces)


def _assembled(
    folder: Path, shapes: dict[str, tuple[tuple[int, ...], torch.dtype]], pieces: list[_Piece]
) -> dict[str, Tensor]:
    # an index that names one part many times would fill the memory
    if sum(piece.length for piece in pieces) > sum(
        path.stat().st_size for path in folder.iterdir()
    ):
        raise DamagedFileError(f"{folder / INDEX}: parts that are larger than the files")
    parts: dict[str, list[tuple[tuple[int, ...], Tensor]]] = {name: [] for name in shapes}
    for piece in pieces:
        part = _read_piece(folder, piece)
        if piece.tensor not in shapes or part.dtype != shapes[piece.tensor][1]:
            raise DamagedFileError(f"{folder / INDEX}: {piece.tensor} is no tensor of the index")
        parts[piece.tensor].append((piece.start, part))
    return {name: join_parts(parts[name], *shapes[name], name=name) for name in shapes}


def _read_piece(folder: Path, piece: _Piece) -> Tensor:
    path = folder / piece.file
    with path.open("rb") as file:
        file.seek(piece.offset)
        data = file.read(piece.length)
    try:
        tensor = read_archive(io.BytesIO(data))
    except DamagedFileError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    # an expanded view of a few bytes could claim any size
    is_tensor = isinstance(tensor, Tensor) and tensor.nbytes <= piece.length
    if not is_tensor or len(piece.start) != tensor.dim():
        raise DamagedFileError(f"{path}: not a tensor")
    return tensor


def _pieces(stored: dict[Any, Any]) -> Iterator[_Piece]:
    for key, value in stored.items():
        index, info = _state(key, "MetadataIndex"), _state(value, "_StorageInfo")
        file, offset, length = info["relative_path"], info["offset"], info["length"]
        is_inside = isinstance(file, str) and Path(file).name == file
        if (
            not isinstance(index["fqn"], str)
            or not is_inside
            or not _are_sizes((offset, length))
            or info.get("transform_descriptors")
        ):
            raise ValueError(info)
        yield _Piece(index["fqn"], _size(index["offset"]), file, offset, length)


def _shape_and_type(entry: Any) -> tuple[tuple[int, ...], torch.dtype]:
    state = _state(entry, "TensorStorageMetadata")
    properties = state["properties"]
    dtype: Any = properties.state[0]
    return _size(state["size"]), DTYPES[dtype.name]


def _state(value: Any, name: str) -> dict[str, Any]:
    """Return the fields of an object of the class with this name."""
    if not isinstance(value, Object) or value.name.name != name:
        raise TypeError(name)
    return dict(value.state)


def _size(value: Any) -> tuple[int, ...]:
    (sizes,) = value.arguments
    if value.name.name != "Size" or not _are_sizes(sizes):
        raise TypeError(sizes)
    return sizes


def _are_sizes(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(one) is int and one >= 0 for one in values)
