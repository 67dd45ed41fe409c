"""Cache of decoded images: files on disk, named by a hash of their source, mapped into memory."""

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

from sngan.data.images.value_range import ValueRange
from sngan.data.memory import require_images_fit, total_memory
from sngan.data.types import Decoded, Skipped
from sngan.utils.cache import folder as default_folder
from sngan.utils.cache import mark_used, trim
from sngan.utils.checks import require
from sngan.utils.files import write_bytes

__all__ = ["ImageCache", "cache_key", "decode_or_load", "default_folder", "has_room"]

_log = logging.getLogger("sngan")
# decoding this many images takes seconds
_WORTH_KEEPING = 10_000


def cache_key(*parts: object) -> str:
    """Hash these parts to the name of a cached file."""
    text = "\n".join(map(str, parts))
    # file names need not be valid UTF-8
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def has_room(folder: Path, size: int) -> bool:
    """Whether a file of ``size`` bytes can be written there with as many bytes left free."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 * size
    except OSError:
        return False


class ImageCache:
    """One cached array: ``KEY.npy`` holds the images, ``KEY.json`` labels and skipped files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.images, self.metadata = folder / f"{name}.npy", folder / f"{name}.json"
        self._fresh = folder / f".{name}.{secrets.token_hex(4)}.npy"

    def load(self) -> Decoded | None:
        """Return the stored images, or ``None`` if they are missing or damaged."""
        try:
            if not self.metadata.exists():
                return None
            metadata: dict[str, Any] = json.loads(self.metadata.read_text())
            if metadata.pop("sha256", "") != _checksum(self.images, metadata):
                raise ValueError("its checksum is wrong")
            # copy on write: torch needs writable memory, and the file must not change
            images = np.load(self.images, mmap_mode="c", allow_pickle=False)
            skipped = [Skipped(**item) for item in metadata["skipped"]]
            if len(images) == len(metadata["labels"]):
                mark_used(self.images)
                mark_used(self.metadata)
                ranges = {
                    mode: ValueRange(*one) for mode, one in metadata.get("levels", {}).items()
                }
                remarks = tuple(metadata.get("remarks", ()))
                return Decoded(images, metadata["labels"], skipped, ranges, remarks)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("the cache %s is damaged (%s): decoding again", self.images, error)
        return None

    def has_room(self, shape: tuple[int, ...]) -> bool:
        """Whether images of this shape fit into the folder."""
        return has_room(self.images.parent, math.prod(shape))

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make a new file of this shape to decode into, or memory if the file cannot be made."""
        try:
            self.images.parent.mkdir(parents=True, exist_ok=True)
            images = np.lib.format.open_memmap(self._fresh, mode="w+", dtype=np.uint8, shape=shape)
            # reserve the space now, where a full disk is an error: later it would end the process
            with self._fresh.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self._fresh.stat().st_size)
            return images
        except OSError as error:
            _log.warning("the cache cannot be written (%s): the images stay in memory", error)
            return _in_memory(shape)

    def store(self, decoded: Decoded) -> Decoded:
        """Give the decoded file its final name, and return it mapped."""
        try:
            self._put_in_place(decoded)
            trim(keep=self.images)
        except OSError as error:
            _log.warning("the cache cannot be written: %s", error)
            return decoded
        # another process may have cleared the cache at this moment
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
        metadata = {
            "labels": decoded.labels,
            "skipped": skipped,
            "levels": dict(decoded.value_ranges),
            "remarks": list(decoded.remarks),
        }
        text = json.dumps({**metadata, "sha256": _checksum(self.images, metadata)})
        write_bytes(self.metadata, text.encode())

    def discard(self) -> None:
        """Remove an unfinished file."""
        self._fresh.unlink(missing_ok=True)


def decode_or_load(*, cache: str, store: ImageCache, decode: Callable[..., Decoded]) -> Decoded:
    """Load the images that an earlier start decoded, or decode them.

    Parameters
    ----------
    cache
        ``disk`` keeps the images in a file, ``auto`` only if they are many; others keep none.
    store
        The cached file.
    decode
        Decodes the images into the array that its argument allocates.
    """
    found = store.load() if cache in ("auto", "disk") else None
    if found is not None:
        return found

    def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        large = shape[0] >= _WORTH_KEEPING or math.prod(shape) > total_memory() / 4
        if cache == "disk" or (cache == "auto" and large):
            if store.has_room(shape):
                return store.allocate(shape)
            # writing to a mapped file on a full disk ends the process without an error message
            require(
                cache == "auto",
                "data.cache",
                expected=f"'disk' with room for twice {math.prod(shape)} bytes, writable",
                got=store.images.parent,
            )
        return _in_memory(shape)

    try:
        decoded = decode(allocate)
        return store.store(decoded) if isinstance(decoded.images, np.memmap) else decoded
    finally:
        store.discard()


def _in_memory(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    require_images_fit(shape)
    return np.empty(shape, np.uint8)


def _checksum(images: Path, metadata: dict[str, Any]) -> str:
    """Hash the file of images and its metadata, at about 2 GB a second."""
    with images.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(metadata).encode())
    return digest.hexdigest()
