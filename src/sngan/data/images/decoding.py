"""Decoding of the images of a source into one uint8 array, in parallel, without damaged ones."""

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sngan.data.errors import short_reason
from sngan.data.images.image_spec import choose_spec, sample
from sngan.data.images.pixels import channels_of, fitted_pixels, open_image, upright
from sngan.data.images.placement import Size
from sngan.data.images.tally import Tally
from sngan.data.images.transparency import scale_transparent_colour
from sngan.data.types import Decoded, Encoded, ImageSpec, Item, Progress, ReadOptions, Skipped
from sngan.utils.text import counted, printable

_log = logging.getLogger("sngan")
_TASK = 64
_Decode = Callable[[Item], NDArray[np.uint8] | Skipped]


_Allocate = Callable[[tuple[int, ...]], NDArray[np.uint8]]


def decode_all(
    encoded: Encoded,
    allocate: _Allocate,
    *,
    size: Size | None,
    channels: int | None,
    options: ReadOptions,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Decode every image into ``allocate((total, channels, height, width))``.

    Parameters
    ----------
    encoded
        The images.
    allocate
        Makes the array, in memory or on disk, once its shape is known.
    size, channels
        The size and the channels of the result; ``None`` chooses them from a sample, see
        :mod:`sngan.data.images.image_spec`. If a later image has a colour, all are read as colour.
    options
        The settings that the files are read with.
    workers
        The number of threads; ``None`` is one a core.
    progress
        Called with (images done, all images).

    Raises
    ------
    ValueError
        If no image can be read.
    """
    with _quiet_pillow(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        blocks = encoded.blocks()
        read: list[list[Item]] = []
        spec = None
        for block in blocks:
            read.append(block)
            items = sample(encoded, block) if len(read) == 1 else block
            spec = choose_spec(
                encoded, items, pool.map, size=size, channels=channels, options=options
            )
            if spec is not None:
                break
        if spec is None:
            reasons = _skip_reasons(pool, chain(read, blocks))
            raise _no_images(encoded, [*encoded.skipped, *reasons])
        whole = partial(_decode_blocks, encoded, pool, allocate, is_chosen=channels is None)
        decoded = whole(chain(read, blocks), spec=spec, progress=progress)
        if decoded is None:
            read.clear()
            decoded = whole(encoded.blocks(), spec=spec._replace(channels=3), progress=progress)
            assert decoded is not None
    _log_skipped(encoded, decoded.skipped)
    return decoded


def _decode_blocks(
    encoded: Encoded,
    pool: ThreadPoolExecutor,
    allocate: _Allocate,
    blocks: Iterable[list[Item]],
    *,
    spec: ImageSpec,
    is_chosen: bool,
    progress: Progress | None,
) -> Decoded | None:
    """Decode all blocks; ``None`` if grey was chosen, and an image has a colour."""
    skipped = list(encoded.skipped)
    labels: list[int] = []
    tally = Tally(spec)
    images = allocate((encoded.total, spec.channels, *spec.size))
    decode_one = partial(decode, spec=spec, tally=tally)
    done = 0
    for block in blocks:
        room = images[len(labels) : len(labels) + len(block)]
        bad = _in_parallel(pool, decode_one, block, room)
        if is_chosen and spec.channels == 1 and tally.has_colour:
            return None
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
    remarks = tally.remarks(is_chosen=is_chosen)
    return Decoded(images[: len(labels)], labels, skipped, spec.value_ranges, remarks)


def decode(
    item: Item, *, spec: ImageSpec, tally: Tally | None = None
) -> NDArray[np.uint8] | Skipped:
    """Return one image ``(channels, height, width)``, or the reason why it is skipped.

    Parameters
    ----------
    item
        The encoded image.
    spec
        The size, channels and value ranges of the result.
    tally
        Counts the image, unless it is skipped.
    """
    try:
        data = item.read()
        with open_image(data, spec.size) as image:
            if spec.version > 3:
                scale_transparent_colour(image, data)
            whole = upright(image, by_exif_alone=spec.is_legacy)
            pixels = fitted_pixels(whole, spec)
            if tally is not None:
                tally.add(channels_of(image), (whole.height, whole.width))
            return pixels
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
    spec = ImageSpec((4, 4), 3, background=(255, 255, 255))
    for block in blocks:
        room = np.empty((len(block), spec.channels, *spec.size), np.uint8)
        decode_one = partial(decode, spec=spec)
        yield from _in_parallel(pool, decode_one, block, room).values()


def _no_images(encoded: Encoded, skipped: list[Skipped]) -> ValueError:
    first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
    got = f"none among {counted(len(skipped), 'file')} in {printable(encoded.name)}{first}"
    return ValueError(f"data: expected images, got {got}")


def _log_skipped(encoded: Encoded, skipped: list[Skipped]) -> None:
    if skipped:
        examples = ", ".join(f"{item.name} ({item.reason})" for item in skipped[:3])
        more = ", …" if len(skipped) > 3 else ""
        name = printable(encoded.name)
        files = counted(len(skipped), "file")
        _log.warning("skipped %s of %s: %s%s", files, name, examples, more)


@contextmanager
def _quiet_pillow() -> Generator[None]:
    """Silence Pillow's warnings about odd files, but make that of a decompression bomb an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
