"""Zip of images, whose members are read in memory and never extracted to disk."""

import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from sngan.data.errors import short_reason
from sngan.data.sources.image_files import ImageFiles, encoded_images, is_hidden
from sngan.data.types import Content, Encoded, ReadOptions, Skipped
from sngan.utils.text import printable

_LARGEST_MEMBER = 256 * 2**20


def open_zip(path: Path, options: ReadOptions) -> Encoded:
    """Open all images in a zip; if several members have one name, the last one is read.

    Raises
    ------
    ValueError
        If the file is no zip or has no images, or the split or labels asked for are missing.
    """
    shown = printable(str(path))
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError) as error:
        got = f"{shown}, which is damaged or no zip ({short_reason(error)})"
        raise ValueError(f"data: expected a zip, got {got}") from error
    members, skipped, replaced = _members(archive, is_legacy=options.is_legacy)
    names = sorted(members)

    def checksum(index: int) -> bytes:
        # the zip already stores a checksum of all bytes of each member
        return members[names[index]].CRC.to_bytes(4, "little")

    status = path.stat()
    files = ImageFiles(
        str(path),
        names,
        partial(_read, archive, members),
        stamp=[f"{status.st_size}:{status.st_mtime_ns}"],
        content=Content(names, [members[name].file_size for name in names], checksum),
        skipped=skipped,
        remarks=[f"{replaced} members are replaced by later ones of their name"] * bool(replaced),
    )
    return encoded_images(files, options)


def _members(
    archive: zipfile.ZipFile, *, is_legacy: bool
) -> tuple[dict[str, zipfile.ZipInfo], list[Skipped], int]:
    """The members by name, those that are skipped as unsafe, and the number of replaced ones."""
    members: dict[str, zipfile.ZipInfo] = {}
    skipped: list[Skipped] = []
    replaced = 0
    for member in archive.infolist():
        name = member.filename if is_legacy else _cleaned(member.filename)
        parts = name.split("/")
        if not parts[-1] or any(is_hidden(part, is_legacy=is_legacy) for part in parts):
            continue
        danger = _danger(name, member)
        if danger:
            skipped.append(Skipped(printable(name), danger))
            continue
        replaced += name in members
        members[name] = member
    return members, skipped, replaced


def _cleaned(name: str) -> str:
    """The name with slashes instead of backslashes, and without ``.`` as a part."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part != ".")


def _read(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> bytes:
    return archive.read(members[name])


def is_encrypted(member: zipfile.ZipInfo) -> bool:
    """Whether a member of a zip needs a password."""
    return bool(member.flag_bits & 1)


def _danger(name: str, member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return "its path leaves the archive"
    if is_encrypted(member):
        return "it is encrypted"
    if member.file_size > _LARGEST_MEMBER:
        return f"it unpacks to {member.file_size} bytes"
    return None
