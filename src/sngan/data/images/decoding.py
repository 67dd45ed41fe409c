"""Encoded images to one uint8 array: decoded in parallel, bad ones skipped."""

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

from sngan.data.errors import reason
from sngan.data.images import image_spec as forms
from sngan.data.images.pixels import channels_of, fit, opened, upright
from sngan.data.types import Decoded, Encoded, Form, Item, Progress, Reading, Skipped
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
    reading: Reading,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Decode every image into ``allocate((total, channels, side, side))``.

    Raises
    ------
    ValueError
        No image could be read, or their channel counts differ and none was asked for.
    """
    skipped = list(encoded.skipped)
    labels: list[int] = []
    with _quiet_pillow(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        blocks = encoded.blocks()
        read: list[list[Item]] = []
        form = None
        for block in blocks:
            read.append(block)
            items = forms.sample(encoded, block) if len(read) == 1 else block
            form = forms.choose(
                encoded, items, pool.map, side=side, channels=channels, reading=reading
            )
            if form is not None:
                break
        if form is None:
            reasons = _reasons(pool, chain(read, blocks))
            raise _nothing_left(encoded, [*skipped, *reasons])
        images = allocate((encoded.total, form.channels, form.side, form.side))
        decode_one = partial(decode, form=form, strict=channels is None)
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
        raise _nothing_left(encoded, skipped)
    _log_skipped(encoded, skipped)
    return Decoded(images[: len(labels)], labels, skipped, form.levels)


class _MixedError(ValueError):
    pass


def decode(item: Item, *, form: Form, strict: bool) -> NDArray[np.uint8] | Skipped:
    """One image ``(channels, side, side)``, or why it is none; ``strict``: of its own channels.

    Raises
    ------
    ValueError
        ``strict``, and the image has another number of channels.
    """
    try:
        with opened(item.read(), form.side) as image:
            own = channels_of(image)
            if strict and own != form.channels:
                raise _MixedError(
                    f"data.channels: expected images that are all {_KINDS[form.channels]} like the "
                    f"first (1 or 3 settles it), got {printable(item.name)}, {_KINDS[own]}"
                )
            return fit(upright(image, by_exif_alone=form.is_first), form)
    except _MixedError:
        raise
    except Exception as error:
        # a decoder may raise anything on a bad file; it is that file's fault alone
        return Skipped(printable(item.name), _reason(error))


def _in_parallel(
    pool: ThreadPoolExecutor, decode_one: _Decode, items: list[Item], images: NDArray[np.uint8]
) -> dict[int, Skipped]:
    """Decode items to rows of images, and return the rows that have none.

    Many items a task: a small image takes less time than a task's overhead.
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
        # its own text names an object in memory
        return "no image that Pillow can read"
    return reason(error)


def _reasons(pool: ThreadPoolExecutor, blocks: Iterator[list[Item]]) -> Iterator[Skipped]:
    form = Form(4, 3, background=(255, 255, 255))
    for block in blocks:
        room = np.empty((len(block), form.channels, form.side, form.side), np.uint8)
        decode_one = partial(decode, form=form, strict=False)
        yield from _in_parallel(pool, decode_one, block, room).values()


def _nothing_left(encoded: Encoded, skipped: list[Skipped]) -> ValueError:
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
    """Pillow's remarks on odd files are not the user's concern, but a bomb is an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
