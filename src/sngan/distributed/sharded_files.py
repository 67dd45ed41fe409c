"""Files of sharded tensors: a folder in which each rank writes its own parts as plain bytes.

``index.json`` has the type and shape of each tensor and, for each part, its place in the tensor,
its place in a file and its SHA-256. Nothing in the folder is code. The checkpoint that names the
folder keeps the SHA-256 of the index.
"""

import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from sngan.distributed import collectives, torch_checkpoint
from sngan.distributed.parts import join_parts
from sngan.utils.files import atomic_write, flush_folder, write_bytes
from sngan.utils.tensor_files import DTYPES, DamagedFileError, tensor_bytes

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

INDEX = "index.json"
_FORMAT = "sngan shards 2"
_LARGEST_INDEX = 1 << 26
PART = re.compile(r"part-\d{5}\.bin")


@dataclass(frozen=True)
class _Part:
    """A part of a tensor: its place in the tensor, and its bytes in a file."""

    tensor: str
    start: tuple[int, ...]
    shape: tuple[int, ...]
    file: str
    offset: int
    length: int
    sha256: str


def write_sharded(tensors: "Mapping[str, DTensor]", folder: Path) -> str:
    """Write each rank's parts and flush them, then write the index; return the index's SHA-256.

    All ranks call this function.

    Raises
    ------
    OSError
        If a rank could not write. The folder is removed then.
    """
    try:
        parts = collectives.all_gather_object(
            collectives.raise_together(lambda: _write_parts(tensors, folder))
        )
        return collectives.raise_together(
            lambda: _write_index(tensors, list(chain(*parts)), folder)
        )
    except OSError:
        if collectives.is_rank_zero():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def read_sharded(folder: Path, *, index: str | None = None) -> dict[str, Tensor]:
    """Read whole tensors to the CPU of this process; any number of ranks may have written them.

    Parameters
    ----------
    folder
        A folder of :func:`write_sharded`, or of earlier versions' ``torch.distributed.checkpoint``.
    index
        The SHA-256 of the index; left out: the index is not checked.

    Raises
    ------
    OSError
        If a file is missing.
    DamagedFileError
        If a file is damaged, or :func:`write_sharded` did not write it.
    """
    if index is None and (folder / torch_checkpoint.INDEX).exists():
        return torch_checkpoint.read_tensors(folder)
    if (folder / INDEX).stat().st_size > _LARGEST_INDEX:
        raise DamagedFileError(f"{folder / INDEX}: expected at most {_LARGEST_INDEX:,} bytes")
    data = (folder / INDEX).read_bytes()
    if index is not None and hashlib.sha256(data).hexdigest() != index:
        raise DamagedFileError(f"{folder / INDEX}: its checksum is wrong")
    try:
        forms, parts = _parsed(data)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{folder / INDEX}: not an index of tensors") from error
    read: dict[str, list[tuple[tuple[int, ...], Tensor]]] = {name: [] for name in forms}
    for part, tensor in _read_parts(forms, parts, folder):
        read[part.tensor].append((part.start, tensor))
    return {
        name: join_parts(read[name], shape, dtype, name=f"{folder}: {name}")
        for name, (shape, dtype) in forms.items()
    }


def _write_parts(tensors: "Mapping[str, DTensor]", folder: Path) -> list[_Part]:
    folder.mkdir(parents=True, exist_ok=True)
    name, offset, parts = f"part-{collectives.rank():05d}.bin", 0, list[_Part]()
    with atomic_write(folder / name) as temporary, temporary.open("wb") as file:
        for key, tensor in tensors.items():
            start = _start(tensor)
            if start is None:
                continue
            own = tensor.to_local().detach().cpu()
            data = tensor_bytes(own)
            file.write(data)
            digest = hashlib.sha256(data).hexdigest()
            parts.append(_Part(key, start, tuple(own.shape), name, offset, data.nbytes, digest))
            offset += data.nbytes
    return parts


def _start(tensor: "DTensor") -> tuple[int, ...] | None:
    """Return where this rank's part begins; ``None`` if another rank writes an equal copy."""
    start, sizes = [0] * tensor.dim(), list(tensor.shape)
    for axis, placement in enumerate(tensor.placements):
        place = tensor.device_mesh.get_local_rank(axis)
        if placement.is_replicate():
            if place:
                return None
            continue
        dim = cast(Any, placement).dim
        # the sizes of the parts are those of torch.chunk
        rows = -(-sizes[dim] // tensor.device_mesh.size(axis))
        first = min(place * rows, sizes[dim])
        start[dim], sizes[dim] = start[dim] + first, min(rows, sizes[dim] - first)
    assert tuple(sizes) == tensor.to_local().shape, "the parts are not those of torch.chunk"
    return tuple(start)


def _write_index(tensors: "Mapping[str, DTensor]", parts: list[_Part], folder: Path) -> str:
    forms = {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }
    index = {"format": _FORMAT, "tensors": forms, "parts": [asdict(part) for part in parts]}
    data = json.dumps(index).encode()
    if collectives.is_rank_zero():
        write_bytes(folder / INDEX, data)
        flush_folder(folder.parent)
    return hashlib.sha256(data).hexdigest()


_Forms = dict[str, tuple[tuple[int, ...], torch.dtype]]


def _parsed(data: bytes) -> tuple[_Forms, list[_Part]]:
    index: dict[str, Any] = json.loads(data)
    if index["format"] != _FORMAT:
        raise ValueError(index["format"])
    forms = {
        str(name): (_sizes(form["shape"]), DTYPES[form["dtype"]])
        for name, form in index["tensors"].items()
    }
    return forms, [_part(one, forms) for one in index["parts"]]


def _part(values: dict[str, Any], forms: _Forms) -> _Part:
    name, file, shape = values["tensor"], values["file"], _sizes(values["shape"])
    start, (offset,) = _sizes(values["start"]), _sizes([values["offset"]])
    # a name, and not a path, which could lead out of the folder
    if not PART.fullmatch(file) or len(start) != len(shape):
        raise ValueError(file)
    length = math.prod(shape) * forms[name][1].itemsize
    return _Part(name, start, shape, file, offset, length, str(values["sha256"]))


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or any(type(one) is not int or one < 0 for one in values):
        raise TypeError(values)
    return tuple(cast(list[int], values))


def _read_parts(forms: _Forms, parts: list[_Part], folder: Path) -> Iterator[tuple[_Part, Tensor]]:
    """Yield each part with its tensor; raise unless the parts cover each byte of each file once."""
    ordered = sorted(parts, key=lambda part: (part.file, part.offset, part.length))
    for name, in_file in groupby(ordered, key=lambda part: part.file):
        path = folder / name
        if path.is_symlink():
            raise DamagedFileError(f"{path}: a symbolic link")
        offset, size = 0, path.stat().st_size
        with path.open("rb") as file:
            for part in in_file:
                if part.offset != offset or part.length > size - offset:
                    raise DamagedFileError(f"{path}: no {part.length} bytes at {part.offset}")
                data = bytearray(file.read(part.length))
                if hashlib.sha256(data).hexdigest() != part.sha256:
                    raise DamagedFileError(f"{path}: the checksum of {part.tensor} is wrong")
                offset += part.length
                yield part, _tensor(data, forms[part.tensor][1]).reshape(part.shape)
        if offset != size:
            raise DamagedFileError(f"{path}: expected {offset} bytes, got {size}")


def _tensor(data: bytearray, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
