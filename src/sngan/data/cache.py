"""Decoded images kept in a file that is mapped into memory, found again by its content's key."""

import hashlib
import json
import logging
import math
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan.data import memory
from sngan.data.images.value_range import Levels
from sngan.data.types import Decoded, Skipped
from sngan.utils.cache import folder as default_folder
from sngan.utils.cache import trim, used
from sngan.utils.checks import require
from sngan.utils.files import write_bytes

__all__ = ["ImageCache", "cached", "default_folder", "has_room", "key"]

_log = logging.getLogger("sngan")
# as many take seconds to decode
_WORTH_KEEPING = 10_000


def key(*parts: object) -> str:
    """A name for what these parts determine."""
    text = "\n".join(map(str, parts))
    # names of files need not be UTF-8
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


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
        try:
            if not self.rest.exists():
                return None
            rest: dict[str, Any] = json.loads(self.rest.read_text())
            if rest.pop("sha256", "") != _checksum(self.images, rest):
                raise ValueError("its checksum is wrong")
            # copy on write: torch wants writable memory, the file must stay as it is
            images = np.load(self.images, mmap_mode="c", allow_pickle=False)
            skipped = [Skipped(**item) for item in rest["skipped"]]
            if len(images) == len(rest["labels"]):
                used(self.images)
                used(self.rest)
                levels = {mode: Levels(*one) for mode, one in rest.get("levels", {}).items()}
                return Decoded(images, rest["labels"], skipped, levels)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("the cache %s is damaged (%s): decoding again", self.images, error)
        return None

    def has_room(self, shape: tuple[int, ...]) -> bool:
        """Whether the folder can take images of this shape."""
        return has_room(self.images.parent, math.prod(shape))

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make a new file of this shape to decode into; where the disk refuses, memory."""
        try:
            self.images.parent.mkdir(parents=True, exist_ok=True)
            images = np.lib.format.open_memmap(self._fresh, mode="w+", dtype=np.uint8, shape=shape)
            # now, as an error: a page that the disk cannot take later ends the process
            with self._fresh.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self._fresh.stat().st_size)
            return images
        except OSError as error:
            _log.warning("the cache cannot be written (%s): the images stay in memory", error)
            return np.empty(shape, np.uint8)

    def store(self, decoded: Decoded) -> Decoded:
        """Put the decoded file in its place, and return it mapped."""
        try:
            self._put_in_place(decoded)
            trim(keep=self.images)
        except OSError as error:
            _log.warning("the cache cannot be written: %s", error)
            return decoded
        # unless another process has cleared the cache at this moment
        return self.load() or decoded

    def _put_in_place(self, decoded: Decoded) -> None:
        if np.load(self._fresh, mmap_mode="r").shape != decoded.images.shape:
            shorter = self._fresh.with_suffix(".short.npy")
            np.save(shorter, decoded.images)
            shorter.replace(self._fresh)
        elif isinstance(decoded.images, np.memmap):
            decoded.images.flush()
        self._fresh.replace(self.images)
        skipped = [vars(item) for item in decoded.skipped]
        rest = {"labels": decoded.labels, "skipped": skipped, "levels": dict(decoded.levels)}
        text = json.dumps({**rest, "sha256": _checksum(self.images, rest)})
        write_bytes(self.rest, text.encode())

    def discard(self) -> None:
        """Remove a file that was not finished."""
        self._fresh.unlink(missing_ok=True)


def cached(*, cache: str, store: ImageCache, decode: Callable[..., Decoded]) -> Decoded:
    """Decode, or map what an earlier start decoded."""
    found = store.load() if cache in ("auto", "disk") else None
    if found is not None:
        return found

    def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        large = shape[0] >= _WORTH_KEEPING or math.prod(shape) > memory.total() / 4
        if cache == "disk" or (cache == "auto" and large):
            if store.has_room(shape):
                return store.allocate(shape)
            # a mapped file that is too large for the disk ends the process without an error message
            require(
                cache == "auto",
                "data.cache",
                expected=f"'disk' with room for twice {math.prod(shape)} bytes, writable",
                got=store.images.parent,
            )
        return np.empty(shape, np.uint8)

    try:
        decoded = decode(allocate)
        return store.store(decoded) if isinstance(decoded.images, np.memmap) else decoded
    finally:
        store.discard()


def _checksum(images: Path, rest: dict[str, Any]) -> str:
    """A hash of the file of images, and of the rest: 1 GB in about half a second."""
    with images.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(rest).encode())
    return digest.hexdigest()
