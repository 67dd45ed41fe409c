"""Tar files in WebDataset's layout: the offset and the label of each image."""

import json
import tarfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from sngan.data.errors import short_reason
from sngan.utils.checks import require
from sngan.utils.text import printable

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_LARGEST_LABEL = 2**20
_CLASS_KEYS = ("label", "class", "class_name", "category", "target", "cls")
# zeros follow the end of a tar, up to a multiple of 10 KiB or of a disk's block
_LONGEST_END = 2**20


APART = "labels lie apart from their images: members of a sample must follow one another"
UNKNOWN = f"descriptions have no label, such as a number or text under {', '.join(_CLASS_KEYS)}"


class TarSample(NamedTuple):
    """An image in a tar: its offset and size in bytes, its label, its folder and name.

    ``is_dotted`` says that its name has several dots, as in ``a.left.png``. ``passed_over`` counts
    the other images of the sample, which are not read.
    """

    offset: int
    size: int
    label: int | str | None
    folder: str
    stem: str
    is_dotted: bool
    passed_over: int


def scan_tar(
    path: Path, extensions: Collection[str], *, is_legacy: bool, unused: Counter[str]
) -> Iterator[TarSample]:
    """Find each sample that has an image, without extracting members or following links.

    Parameters
    ----------
    path
        The tar file.
    extensions
        The extensions of image files.
    is_legacy
        Whether to accept only the extensions and labels that version 1 accepted.
    unused
        Counts the labels that belong to no image, by reason; this function updates it.

    Raises
    ------
    ValueError
        If the file is compressed, damaged, cut off, or no tar.
    """
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            begin = file.read(8)
            for magic, name in _COMPRESSED.items():
                plain = not begin.startswith(magic)
                require(plain, "data", expected="uncompressed tar files", got=f"{shown}, {name}")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield from _TarScanner(extensions, unused, is_legacy=is_legacy).samples(tar, file)
                _require_end(file, tar.offset, strict=not is_legacy)
    except (tarfile.TarError, OSError, EOFError, OverflowError, UnicodeError) as error:
        got = f"{shown} ({short_reason(error)})"
        raise ValueError(f"data: expected a whole tar file, got {got}") from error


def _require_end(file: IO[bytes], offset: int, *, strict: bool) -> None:
    """Require two blocks of zeros at the end, because tarfile stops at a damaged header too."""
    file.seek(offset)
    end = file.read(tarfile.BLOCKSIZE)
    if end.strip(b"\0"):
        raise tarfile.ReadError(f"damaged at byte {offset}")
    if strict and len(end) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"cut at byte {offset}: the mark of its end is missing")
    if strict and file.read(_LONGEST_END).strip(b"\0"):
        raise tarfile.ReadError(f"data follows its end at byte {offset}, as in joined tar files")


class _TarScanner:
    """Reads the members of a tar in order, and groups those of one sample, which are neighbours."""

    def __init__(
        self, extensions: Collection[str], unused: Counter[str], *, is_legacy: bool
    ) -> None:
        self._extensions, self._unused, self._is_legacy = extensions, unused, is_legacy
        self._start("", "")

    def samples(self, tar: tarfile.TarFile, file: IO[bytes]) -> Iterator[TarSample]:
        while (member := tar.next()) is not None:
            # tarfile would keep every member in memory
            tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
            folder, _, name = member.name.rpartition("/")
            stem, _, extension = name.partition(".")
            if (folder, stem) != (self._folder, self._stem):
                yield from self._finished()
                self._start(folder, stem)
            if stem:
                self._take(member, extension, file)
        yield from self._finished()

    def _start(self, folder: str, stem: str) -> None:
        self._folder, self._stem = folder, stem
        self._plain: list[tuple[int, int]] = []
        self._dotted: list[tuple[int, int]] = []
        self._label: int | str | None = None
        self._is_described = False
        self._links = 0

    def _take(self, member: tarfile.TarInfo, extension: str, file: IO[bytes]) -> None:
        last = extension.rpartition(".")[2].lower()
        is_image = last in self._extensions
        if not member.isreg() or member.issparse():
            self._links += is_image
        elif is_image:
            found = self._plain if extension.lower() == last else self._dotted
            found.append((member.offset_data, member.size))
        elif (parse := _parser(extension, is_legacy=self._is_legacy)) and self._label is None:
            if member.size <= _LARGEST_LABEL:
                file.seek(member.offset_data)
                self._label = _label(parse, file.read(member.size))
            self._is_described = True

    def _finished(self) -> Iterator[TarSample]:
        images = self._plain or self._dotted
        if self._label is not None and not images:
            self._unused[APART] += 1
        elif self._is_described and self._label is None:
            self._unused[UNKNOWN] += 1
        # a.1.png and a.2.png are samples of their own if there is no a.png
        kept = images[:1] if self._plain else images
        rest = len(self._plain) - len(kept) + len(self._dotted) if self._plain else 0
        for offset, size in kept:
            where = (self._folder, self._stem)
            yield TarSample(offset, size, self._label, *where, not self._plain, rest + self._links)


def _parser(extension: str, *, is_legacy: bool) -> Callable[[bytes], Any] | None:
    """Choose the parser of a label by extension: ``.cls``, ``.CLS``, ``.label.txt``, ``.json``."""
    if is_legacy:
        return _LABELS[extension] if extension in ("cls", "json") else None
    return _LABELS.get(extension.lower().removesuffix(".txt"))


def _label(parse: Callable[[bytes], Any], content: bytes) -> int | str | None:
    try:
        value = parse(content)
    except (ValueError, KeyError, TypeError, RecursionError, UnicodeDecodeError):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, str):
        return value.strip() or None
    return value if 0 <= value < 2**63 else (None if value == -1 else str(value))


def _of_text(content: bytes) -> int | str:
    text = content.decode("utf-8-sig").strip()
    try:
        return int(text)
    except ValueError:
        return text if len(text) < 1000 else ""


def _of_json(content: bytes) -> Any:
    value = json.loads(content)
    return next((value[key] for key in _CLASS_KEYS if key in value), None)


_LABELS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("cls", "class", "label", "target"), _of_text),
    "json": _of_json,
}
