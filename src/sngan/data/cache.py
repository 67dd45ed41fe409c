"""Decoded images kept in a file that is mapped into memory, found again by its content's key."""

import hashlib
import json
import logging
import math
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan.data.dataset import Skipped
from sngan.data.decoding import Decoded

_log = logging.getLogger("sngan")


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/sngan``, or ``~/.cache/sngan``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sngan"


def key(*parts: object) -> str:
    """A name for what these parts determine."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def has_room(folder: Path, size: int) -> bool:
    """Whether a file of ``size`` bytes can be written there and leaves as much free."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 * size
    except OSError:
        return False


class ImageCache:
    """One cached array: ``KEY.npy`` for the images and ``KEY.json`` for the rest."""

    def __init__(self, folder: Path, name: str) -> None:
        self.images, self.rest = folder / f"{name}.npy", folder / f"{name}.json"
        self._fresh = folder / f".{name}.{secrets.token_hex(4)}.npy"

    def load(self) -> Decoded | None:
        """Return what was stored, or ``None`` where it is missing or damaged."""
        if not self.rest.exists():
            return None
        try:
            rest: dict[str, Any] = json.loads(self.rest.read_text())
            # copy on write: torch wants writable memory, the file must stay as it is
            images = np.load(self.images, mmap_mode="c", allow_pickle=False)
            skipped = [Skipped(**item) for item in rest["skipped"]]
            if len(images) == len(rest["labels"]):
                return Decoded(images, rest["labels"], skipped)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            _log.warning("the cache %s is damaged (%s): decoding again", self.images, error)
        return None

    def has_room(self, shape: tuple[int, ...]) -> bool:
        """Whether the folder can take images of this shape."""
        return has_room(self.images.parent, math.prod(shape))

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make a new file of this shape to decode into."""
        self.images.parent.mkdir(parents=True, exist_ok=True)
        return np.lib.format.open_memmap(self._fresh, mode="w+", dtype=np.uint8, shape=shape)

    def store(self, decoded: Decoded) -> Decoded:
        """Put the decoded file in its place, and return it mapped."""
        if np.load(self._fresh, mmap_mode="r").shape != decoded.images.shape:
            shorter = self._fresh.with_suffix(".short.npy")
            np.save(shorter, decoded.images)
            shorter.replace(self._fresh)
        elif isinstance(decoded.images, np.memmap):
            decoded.images.flush()
        self._fresh.replace(self.images)
        skipped = [vars(item) for item in decoded.skipped]
        text = json.dumps({"labels": decoded.labels, "skipped": skipped})
        temporary = self._fresh.with_suffix(".json")
        temporary.write_text(text)
        temporary.replace(self.rest)
        stored = self.load()
        assert stored is not None
        return stored

    def discard(self) -> None:
        """Remove a file that was not finished."""
        self._fresh.unlink(missing_ok=True)
