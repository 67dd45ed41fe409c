"""Saved sample grids: the pictures that a run wrote while it trained, read with care."""

import re
from pathlib import Path

from sngan.runs.layout import RunFolder

_NAME = re.compile(r"step-(\d{1,18})\.png")
_LARGEST_PICTURE = 64 * 2**20


def saved_grids(folder: Path) -> list[tuple[int, str]]:
    """Return the step and the name below the folder of each picture, in the order of the steps.

    The folder may hold other files too, which are passed over.
    """
    names = [path.name for path in RunFolder(folder).samples.glob("step-*.png")]
    found = [(match, name) for name in names if (match := _NAME.fullmatch(name))]
    return sorted((int(match[1]), f"{RunFolder.SAMPLES}/{name}") for match, name in found)


def read_inside(folder: Path, name: str) -> bytes | None:
    """Return the content of a file below ``folder`` itself.

    People pass pictures on, so they must not show other files: the result is ``None`` for a name
    that leads out of the folder, also through a link, for a large file, and for none. The links of
    a copy of the hub lead to the content beside it, which belongs to the copy.
    """
    try:
        path, own = (folder / name).resolve(strict=True), folder.resolve()
        places = [own, own.parents[1] / "blobs"] if own.parent.name == "snapshots" else [own]
        is_inside = any(path.is_relative_to(place) for place in places)
        if not is_inside or not path.is_file() or path.stat().st_size > _LARGEST_PICTURE:
            return None
        return path.read_bytes()
    except (OSError, ValueError, RuntimeError):
        return None
