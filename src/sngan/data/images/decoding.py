"""Decoding of the images of a source into one uint8 array, in parallel, without damaged ones."""

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sngan.data.errors import short_reason
from sngan.data.images.image_spec import choose_spec, sample
from sngan.data.images.pixels import channels_of, crop_and_resize, open_image, upright
from sngan.data.types import Decoded, Encoded, ImageSpec, Item, Progress, ReadOptions, Skipped
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
_TASK = 64
_KINDS = {1: "grey", 3: "colour"}


_Decode = Callable[[Item], NDArray[np.uint8] | Skipped]


def decode_all(
    encoded: Encoded,
    allocate: Callable[[tuple[int, ...]], NDArray[np.uint8]],
    *,
    side: int | None,
    channels: int | None,
    options: ReadOptions,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Decode every image into ``allocate((total, channels, side, side))``.

    Parameters
    ----------
    encoded
        The images.
    allocate
        Makes the array, in memory or on disk, once its shape is known.
    side, channels
        The side and the channels of the result; ``None`` chooses them from a sample, see
        :mod:`sngan.data.images.image_spec`.
    options
        The settings that the files are read with.
    workers
        The number of threads; ``None`` is one a core.
    progress
        Called with (images done, all images).

    Raises
    ------
    ValueError
        If no image can be read, or their channels differ and ``channels`` is ``None``.
    """
    skipped = list(encoded.skipped)
    labels: list[int] = []
    with _quiet_pillow(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        blocks = encoded.blocks()
        read: list[list[Item]] = []
        spec = None
        for block in blocks:
            read.append(block)
            items = sample(encoded, block) if len(read) == 1 else block
            spec = choose_spec(
                encoded, items, pool.map, side=side, channels=channels, options=options
            )
            if spec is not None:
                break
        if spec is None:
            reasons = _skip_reasons(pool, chain(read, blocks))
            raise _no_images(encoded, [*skipped, *reasons])
        images = allocate((encoded.total, spec.channels, spec.side, spec.side))
        decode_one = partial(decode, spec=spec, strict=channels is None)
        done = 0
        for block in chain(read, blocks):
            room = images[len(labels) : len(labels) + len(block)]
            bad = _in_parallel(pool, decode_one, block, room)
            good = [row for row in range(len(block)) if row not in bad]
            if bad:
                room[: len(good)] = room[good]
                skipped += bad.values()
            labels += [block[row].label for row in good]
            done += len(block)
            if progress:
                progress(done, encoded.total)
    if not labels:
        raise _no_images(encoded, skipped)
    _log_skipped(encoded, skipped)
    return Decoded(images[: len(labels)], labels, skipped, spec.value_ranges)


class _MixedError(ValueError):
    pass


def decode(item: Item, *, spec: ImageSpec, strict: bool) -> NDArray[np.uint8] | Skipped:
    """Return one image ``(channels, side, side)``, or the reason why it is skipped.

    Parameters
    ----------
    item
        The encoded image.
    spec
        The side, channels and value ranges of the result.
    strict
        Whether an image with other channels is an error.

    Raises
    ------
    ValueError
        If ``strict``, and the image has another number of channels than the spec.
    """
    try:
        with open_image(item.read(), spec.side) as image:
            own = channels_of(image)
            if strict and own != spec.channels:
                raise _MixedError(
                    f"data.channels: expected images that are all {_KINDS[spec.channels]} like the "
                    f"first (or set 1 or 3), got {printable(item.name)}, {_KINDS[own]}"
                )
            return crop_and_resize(upright(image, by_exif_alone=spec.is_legacy), spec)
    except _MixedError:
        raise
    except Exception as error:
        # a decoder may raise any exception on a damaged file; the other files are still read
        return Skipped(printable(item.name), _reason(error))


def _in_parallel(
    pool: ThreadPoolExecutor, decode_one: _Decode, items: list[Item], images: NDArray[np.uint8]
) -> dict[int, Skipped]:
    """Decode items to rows of images, and return the rows that were skipped.

    A task decodes many items, because a small image takes less time than a task's overhead.
    """

    def run(rows: range) -> dict[int, Skipped]:
        bad: dict[int, Skipped] = {}
        for row in rows:
            result = decode_one(items[row])
            if isinstance(result, Skipped):
                bad[row] = result
            else:
                images[row] = result
        return bad

    tasks = [range(len(items))[start : start + _TASK] for start in range(0, len(items), _TASK)]
    return {row: skip for bad in pool.map(run, tasks) for row, skip in bad.items()}


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        # its own text shows the address of an object in memory
        return "no image that Pillow can read"
    return short_reason(error)


def _skip_reasons(pool: ThreadPoolExecutor, blocks: Iterator[list[Item]]) -> Iterator[Skipped]:
    spec = ImageSpec(4, 3, background=(255, 255, 255))
    for block in blocks:
        room = np.empty((len(block), spec.channels, spec.side, spec.side), np.uint8)
        decode_one = partial(decode, spec=spec, strict=False)
        yield from _in_parallel(pool, decode_one, block, room).values()


def _no_images(encoded: Encoded, skipped: list[Skipped]) -> ValueError:
    first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
    got = f"none among {len(skipped)} files in {printable(encoded.name)}{first}"
    return ValueError(f"data: expected images, got {got}")


def _log_skipped(encoded: Encoded, skipped: list[Skipped]) -> None:
    if skipped:
        examples = ", ".join(f"{item.name} ({item.reason})" for item in skipped[:3])
        more = ", …" if len(skipped) > 3 else ""
        name = printable(encoded.name)
        _log.warning("skipped %d files of %s: %s%s", len(skipped), name, examples, more)


@contextmanager
def _quiet_pillow() -> Generator[None]:
    """Silence Pillow's warnings about odd files, but make that of a decompression bomb an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
