"""A zip of images, read in memory: nothing is ever extracted to the disk."""

import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from sngan.data.errors import reason
from sngan.data.sources.image_files import Named, encoded_of, is_hidden
from sngan.data.types import Content, Encoded, Reading, Skipped
from sngan.utils.text import printable

_LARGEST_MEMBER = 256 * 2**20
_MOST_MEMBERS = 10_000_000


def open_zip(path: Path, reading: Reading) -> Encoded:
    """All members of a zip, the last one of each name.

    Raises
    ------
    ValueError
        The file is no zip, or has no images, or not the split or the labels that are asked for.
    """
    shown = printable(str(path))
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError) as error:
        got = f"{shown}, another or damaged file ({reason(error)})"
        raise ValueError(f"data: expected a zip, got {got}") from error
    members: dict[str, zipfile.ZipInfo] = {}
    skipped: list[Skipped] = []
    replaced = 0
    for member in archive.infolist():
        # Windows' separators, against the rules of zips
        name = member.filename if reading.is_first else member.filename.replace("\\", "/")
        parts = name.split("/")
        if not reading.is_first:
            # some programs store ./cat/1.png
            parts = [part for part in parts if part != "."]
            name = "/".join(parts)
        if (
            not parts
            or not parts[-1]
            or any(is_hidden(part, is_first=reading.is_first) for part in parts)
        ):
            continue
        danger = _danger(name, member)
        if danger:
            skipped.append(Skipped(printable(name), danger))
            continue
        replaced += name in members
        members[name] = member
    names = sorted(members)

    def checksum(index: int) -> bytes:
        # of all its bytes, and the zip has it ready
        return members[names[index]].CRC.to_bytes(4, "little")

    status = path.stat()
    named = Named(
        str(path),
        names,
        partial(_read, archive, members),
        stamp=[f"{status.st_size}:{status.st_mtime_ns}"],
        content=Content(names, [members[name].file_size for name in names], checksum),
        skipped=skipped,
        remarks=[f"{replaced} members are replaced by later ones of their name"] * bool(replaced),
    )
    return encoded_of(named, reading)


def _read(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> bytes:
    return archive.read(members[name])


def _danger(name: str, member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return "its path leaves the archive"
    if member.file_size > _LARGEST_MEMBER:
        return f"it unpacks to {member.file_size} bytes"
    return None
