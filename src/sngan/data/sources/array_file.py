"""NumPy files, ``.npy`` and ``.npz``: headers first, then only the arrays that are needed."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sngan.data.errors import short_reason
from sngan.data.memory import require_memory
from sngan.data.sources.zip_archive import is_encrypted
from sngan.utils.checks import require
from sngan.utils.text import printable


class Header(NamedTuple):
    """The shape and the type of an array that has not been read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def is_numeric(self) -> bool:
        """Whether the array holds numbers or truth values."""
        return self.dtype.kind in "buif"

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0


class ArrayFile:
    """The headers of all arrays in a file by name; the array of an ``.npy`` has the file's name.

    Raises
    ------
    ValueError
        If the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.shown = printable(str(path))
        try:
            self._is_zip = zipfile.is_zipfile(path)
            self.headers = self._zipped() if self._is_zip else self._single()
        except Exception as error:
            raise self._damaged(error) from error

    def read(self, name: str) -> NDArray[Any]:
        """Return one array.

        Raises
        ------
        ValueError
            If the array is damaged, larger than half of the memory, or of objects: reading these
            would run code.
        """
        header = self.headers[name]
        shown = f"{self.shown}[{printable(name)}]"
        plain = not header.dtype.hasobject
        require(plain, "data", expected=f"arrays in {shown} of numbers or text", got="objects")
        require_memory(header.shape, header.dtype.itemsize, shown)
        try:
            with self._path.open("rb") as file:
                loaded: Any = np.load(file, allow_pickle=False)
                return loaded[name] if self._is_zip else loaded
        except Exception as error:
            raise self._damaged(error) from error

    def _zipped(self) -> dict[str, Header]:
        found: dict[str, Header] = {}
        with zipfile.ZipFile(self._path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name == member.filename or name in found:
                    continue
                if is_encrypted(member):
                    raise ValueError(f"{member.filename}, which is encrypted")
                with archive.open(member) as file:
                    found[name] = _header(file, member.file_size)
        return found

    def _single(self) -> dict[str, Header]:
        with self._path.open("rb") as file:
            return {self._path.name: _header(file, self._path.stat().st_size)}

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(f"data: expected arrays in {self.shown}, got {short_reason(error)}")


def _header(file: IO[bytes], size: int) -> Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format
    known = version in ((1, 0), (2, 0), (3, 0))
    require(known, "npy", expected="version 1, 2 or 3", got=version)
    header = read.read_array_header_1_0 if version == (1, 0) else read.read_array_header_2_0
    shape, _, dtype = header(file)
    expected = math.prod(shape) * dtype.itemsize
    # arrays of objects are refused only when they are read: a file may hold some beside its images
    whole = dtype.hasobject or size - file.tell() == expected
    require(whole, "npy", expected=f"{expected} bytes of one array", got=size - file.tell())
    return Header(shape, dtype)
