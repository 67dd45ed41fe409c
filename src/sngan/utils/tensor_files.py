"""Tensor files with a checksum: archives of ``torch.save``, and safetensors.

An archive is a zip file. It ends with a zip comment, which holds the SHA-256 of all bytes before
the digits; each tensor is a member with a CRC-32 of its own. A safetensors file has the
SHA-256 of its tensors, with their names, types and shapes, in its metadata. Files without a
checksum, which earlier versions wrote, are read as well; in an archive the CRC-32 of the members
is then compared.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from sngan.utils.files import atomic_write
from sngan.utils.text import first_line

_MARK = b"sngan sha256 "
_DIGITS = 64
_KEY = "sngan sha256"
# the end of a zip file without a comment: a signature, and two bytes of zero for its length
_END, _END_LENGTH = b"PK\x05\x06", 22
_CHUNK = 1 << 20

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
}
"""The types of tensors by their names."""


class DamagedFileError(ValueError):
    """A file is cut off, changed or of another kind; the message names the damage."""


def write_archive(state: Any, path: Path) -> None:
    """Write nested plain values and tensors, as ``torch.save`` does, with a checksum at the end.

    The file is neither flushed nor renamed here: call this on a file of ``atomic_write``.
    """
    with path.open("wb") as file:
        sealed = _Sealed(file)
        torch.save(state, cast(IO[bytes], sealed))
        sealed.finish()


def read_archive(
    source: Path | IO[bytes], *, device: torch.device | str = "cpu", mmap: bool = False
) -> Any:
    """Read an archive of :func:`write_archive`, and compare its checksum first.

    Only tensors and plain values are unpickled. With ``mmap`` the checksum is not computed and
    tensors are read when they are used, which is quick when few values of a large file are needed.

    Parameters
    ----------
    source
        The path of the file, or the opened file.
    device
        The device that receives the tensors.
    mmap
        Map the file into memory, which works for a path only.

    Raises
    ------
    DamagedFileError
        If the file is cut off, changed, compressed, no archive, or holds anything but tensors and
        plain values.
    OSError
        If the file cannot be read.
    """
    try:
        if not mmap:
            with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
                _check_archive(file)
                file.seek(0)
                return torch.load(file, map_location=device, weights_only=True)
        return torch.load(source, map_location=device, weights_only=True, mmap=True)
    except (DamagedFileError, OSError):
        raise
    except Exception as error:
        # a damaged pickle raises errors of every kind
        raise DamagedFileError(first_line(error)) from error


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write ``path`` atomically as a safetensors file with a checksum.

    Equal tensors and texts give equal bytes.

    Parameters
    ----------
    tensors
        The tensors by their names.
    path
        The file.
    metadata
        Texts by their names, which :func:`read_metadata` returns.
    """
    from safetensors.torch import save

    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    texts = {_KEY: _digest(whole), **(metadata or {})}
    data = _with_metadata(save(whole), dict(sorted(texts.items())))
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of :func:`write_tensors`, and compare its checksum.

    Raises
    ------
    DamagedFileError
        If the file is cut off, changed, or no safetensors file.
    OSError
        If the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError:
        raise
    except (SafetensorError, ValueError, RuntimeError, MemoryError) as error:
        raise DamagedFileError(first_line(error)) from error
    # files of earlier versions have no metadata at all
    if metadata is not None and metadata.get(_KEY) != _digest(tensors):
        raise DamagedFileError("its checksum is wrong")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """Read the texts in the header of a safetensors file, without its tensors.

    Raises
    ------
    DamagedFileError
        If the file is cut off, or no safetensors file.
    OSError
        If the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except OSError:
        raise
    except (SafetensorError, ValueError, RuntimeError, MemoryError) as error:
        raise DamagedFileError(first_line(error)) from error


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor on the CPU, in the order of its elements."""
    flat: Any = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(flat)


class _Sealed:
    """A file for ``torch.save`` that hashes all bytes and writes the checksum after them.

    An error of the disk is kept and raised at the end, because torch would replace it by an error
    without the reason; after the error nothing more is written.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self._error: OSError | None = None
        # the last two bytes of a zip file are the length of its comment: they are held back and
        # replaced at the end
        self._last = b""

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        if len(view) < 2:
            view = memoryview(self._last + bytes(view))
        else:
            self._pass(self._last)
        self._pass(view[:-2])
        self._last = bytes(view[-2:])
        return len(data)

    def flush(self) -> None:
        """Do nothing: everything is written at once."""

    def finish(self) -> None:
        self._pass((len(_MARK) + _DIGITS).to_bytes(2, "little") + _MARK)
        self._pass(self._digest.hexdigest().encode())
        if self._error is not None:
            raise self._error

    def _pass(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        try:
            if self._error is None:
                self._file.write(data)
        except OSError as error:
            self._error = error


def _check_archive(file: IO[bytes]) -> None:
    size = file.seek(0, 2)
    file.seek(max(size - len(_MARK) - _DIGITS, 0))
    end = file.read()
    is_sealed = end.startswith(_MARK)
    if not is_sealed and (end[-_END_LENGTH:][:4] != _END or end[-2:] != bytes(2)):
        raise DamagedFileError("its end is missing")
    if is_sealed:
        file.seek(0)
        if _hash_of(file, size - _DIGITS) != end[len(_MARK) :]:
            raise DamagedFileError(_where_damaged(file))
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        is_stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        # compressed members could unpack to more than the memory holds
        if not is_stored or sum(member.file_size for member in members) > size:
            raise DamagedFileError("its members are compressed")
        broken = None if is_sealed else archive.testzip()
    if broken is not None:
        raise DamagedFileError(f"the checksum of {broken} is wrong")


def _hash_of(file: IO[bytes], size: int) -> bytes:
    digest = hashlib.sha256()
    while size and (chunk := file.read(min(size, _CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest().encode()


def _where_damaged(file: IO[bytes]) -> str:
    """Name the member whose own checksum is wrong, if there is one."""
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
    except Exception:
        # the damage is in the table of members
        broken = None
    return f"the checksum of {broken} is wrong" if broken else "its checksum is wrong"


def _with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Add texts to the header of a safetensors file.

    The library would write them in an order that differs from process to process.
    """
    size = int.from_bytes(data[:8], "little")
    header = {"__metadata__": metadata, **json.loads(data[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # the tensors begin at a multiple of 8
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].cpu()
        digest.update(f"{name}\n{tensor.dtype}\n{tuple(tensor.shape)}\n".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
