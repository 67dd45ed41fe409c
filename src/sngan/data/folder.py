"""A folder or a zip of images; class folders give labels."""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from sngan._checks import require
from sngan.data.fingerprint import some_bytes
from sngan.data.types import Content, Encoded, Item, Skipped

_BLOCK = 4096
_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_LARGEST_MEMBER = 256 * 2**20


def open_folder(path: Path) -> Encoded:
    """All files below ``path``, links to folders not followed; hidden files are left out."""
    names: list[str] = []
    stamp: list[str] = []
    sizes: list[int] = []
    # strings and not paths: they are half of the time that a second start takes
    root = os.path.join(path, "")  # noqa: PTH118
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            full = os.path.join(folder, file)  # noqa: PTH118
            name = full.removeprefix(root).replace(os.sep, "/")
            status = _status(full) if _is_meant(name) else None
            if status is not None:
                names.append(name)
                sizes.append(status.st_size)
                stamp.append(f"{name}:{status.st_size}:{status.st_mtime_ns}")

    def read(index: int) -> bytes:
        return some_bytes(root + names[index])

    content = Content(names, sizes, read)
    return _encoded(path, names, partial(_read, root), stamp=stamp, content=content)


def _status(file: str) -> os.stat_result | None:
    """Of a file or what a link points to; ``None`` of what is no file."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _read(root: str, name: str) -> bytes:
    with open(root + name, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def open_zip(path: Path) -> Encoded:
    """All members of a zip, read in memory: nothing is ever extracted to the disk.

    Raises
    ------
    ValueError
        The file is no zip, or has no members.
    """
    require(
        zipfile.is_zipfile(path), "data", expected="a zip", got=f"{path}, another or damaged file"
    )
    archive = zipfile.ZipFile(path)
    names: list[str] = []
    skipped: list[Skipped] = []
    for member in archive.infolist():
        if member.is_dir() or not _is_meant(member.filename):
            continue
        reason = _danger(member)
        if reason:
            skipped.append(Skipped(member.filename, reason))
        else:
            names.append(member.filename)
    status = path.stat()
    stamp = [f"{status.st_size}:{status.st_mtime_ns}"]
    names.sort()
    members = [archive.getinfo(name) for name in names]

    def checksum(index: int) -> bytes:
        # of all its bytes, and the zip has it ready
        return members[index].CRC.to_bytes(4, "little")

    content = Content(names, [member.file_size for member in members], checksum)
    return _encoded(path, names, archive.read, stamp=stamp, content=content, skipped=tuple(skipped))


def _is_meant(name: str) -> bool:
    return not any(
        part in _IGNORED or (part.startswith(".") and part != "..") for part in name.split("/")
    )


def _danger(member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return "its path leaves the archive"
    if member.file_size > _LARGEST_MEMBER:
        return f"it unpacks to {member.file_size} bytes"
    return None


def _encoded(
    path: Path,
    names: list[str],
    read: Callable[[str], bytes],
    *,
    stamp: list[str],
    content: Content,
    skipped: tuple[Skipped, ...] = (),
) -> Encoded:
    found = f"{len(skipped)} unusable" if skipped else "no files"
    require(bool(names), "data", expected=f"images in {path}", got=found)
    classes = _classes(names)
    class_names = tuple(sorted(set(classes)))
    index = {name: position for position, name in enumerate(class_names)}

    def blocks() -> Iterator[list[Item]]:
        for start in range(0, len(names), _BLOCK):
            yield [
                Item(name, partial(read, name), index[classes[start + offset]] if classes else -1)
                for offset, name in enumerate(names[start : start + _BLOCK])
            ]

    return Encoded(str(path), len(names), blocks, class_names, "\n".join(stamp), skipped, content)


def _classes(names: list[str]) -> list[str]:
    """The class folder of each file; none where files lie beside folders, or in one folder."""
    parts = [name.split("/") for name in names]
    # folders around all files, as archives often have, are no classes
    while all(len(part) > 1 for part in parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    return [part[0] for part in parts] if all(len(part) > 1 for part in parts) else []
