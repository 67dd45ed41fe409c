"""Encoded images to one uint8 array: decoded in parallel, resized, cropped; bad ones skipped."""

import io
import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from sngan.data.types import Decoded, Encoded, Form, Item, Progress, Skipped

if TYPE_CHECKING:
    from PIL.Image import Image

_log = logging.getLogger("sngan")

FIT = "bicubic"
"""Names what :func:`fit` does to an image, for keys of what is kept."""
_TASK = 64


_Decode = Callable[[Item], NDArray[np.uint8] | Skipped]


def default_side(width: int, height: int) -> int:
    """The side when none is asked for: the shorter one, as a multiple of 4, or 64 for photos."""
    shorter = min(width, height)
    return max(shorter // 4 * 4, 4) if shorter <= 128 else 64


def fit(image: "Image", form: Form) -> NDArray[np.uint8]:
    """``(channels, side, side)``: the central square, resized bicubically with antialiasing.

    As Pillow's ``BICUBIC`` but for two grey levels, and in less than half of its time.
    """
    from PIL import Image

    if image.mode.startswith("I"):
        # PIL clips 16-bit greys to 255 where they should be scaled
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    mode = "L" if form.channels == 1 else "RGB"
    # to its own mode it would be copied
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    array = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return array if image.size == (form.side, form.side) else _resized(array, form.side)


def _resized(array: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = array.shape[1:]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    # PIL's memory is not writable, which torch wants
    cut = torch.from_numpy(array[:, top : top + square, left : left + square].copy("K"))
    return interpolate(cut[None], (side, side), mode="bicubic", antialias=True)[0].numpy()


def decode_all(
    encoded: Encoded,
    allocate: Callable[[tuple[int, ...]], NDArray[np.uint8]],
    *,
    side: int | None,
    channels: int | None,
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
            form = _form_of_first(block, side=side, channels=channels)
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
    return Decoded(images[: len(labels)], labels, skipped)


def _form_of_first(block: list[Item], *, side: int | None, channels: int | None) -> Form | None:
    """The form that the first readable image asks for, where the settings leave it open."""
    from PIL import Image, ImageOps

    for item in block:
        try:
            with Image.open(io.BytesIO(item.read())) as image:
                size, colour = ImageOps.exif_transpose(image).size, _channels(image)
        except Exception:
            # whatever is wrong with it, the full pass will name it
            continue
        chosen = Form(side or default_side(*size), channels or colour)
        if side is None and chosen.side not in size:
            _log.warning(
                "images of %d×%d pixels are made %d×%d; data.resolution chooses another side",
                *size, chosen.side, chosen.side,
            )  # fmt: skip
        return chosen
    return None


def _channels(image: "Image") -> int:
    return 1 if image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I") else 3


class _MixedError(ValueError):
    pass


def decode(item: Item, *, form: Form, strict: bool) -> NDArray[np.uint8] | Skipped:
    """One image ``(channels, side, side)``, or why it is none; ``strict``: of its own channels.

    Raises
    ------
    ValueError
        ``strict``, and the image has another number of channels.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(item.read())) as image:
            if strict and _channels(image) != form.channels:
                kinds = {1: "grey", 3: "colour"}
                raise _MixedError(
                    f"data.channels: expected images that are all {kinds[form.channels]} like the "
                    f"first (1 or 3 settles it), got {item.name}, {kinds[_channels(image)]}"
                )
            # lets the JPEG decoder skip detail far below the size wanted
            image.draft(image.mode, (2 * form.side, 2 * form.side))
            upright = ImageOps.exif_transpose(image) if "exif" in image.info else image
            return fit(upright, form)
    except _MixedError:
        raise
    except Exception as error:
        # a decoder may raise anything on a bad file; it is that file's fault alone
        return Skipped(item.name, _reason(error))


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
    text = " ".join(str(error).split())
    return text[:200] if text else type(error).__name__


def _reasons(pool: ThreadPoolExecutor, blocks: Iterator[list[Item]]) -> Iterator[Skipped]:
    form = Form(4, 3)
    for block in blocks:
        room = np.empty((len(block), form.channels, form.side, form.side), np.uint8)
        decode_one = partial(decode, form=form, strict=False)
        yield from _in_parallel(pool, decode_one, block, room).values()


def _nothing_left(encoded: Encoded, skipped: list[Skipped]) -> ValueError:
    first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
    got = f"none among {len(skipped)} files in {encoded.name}{first}"
    return ValueError(f"data: expected images, got {got}")


def _log_skipped(encoded: Encoded, skipped: list[Skipped]) -> None:
    if skipped:
        examples = ", ".join(f"{item.name} ({item.reason})" for item in skipped[:3])
        more = ", …" if len(skipped) > 3 else ""
        _log.warning("skipped %d files of %s: %s%s", len(skipped), encoded.name, examples, more)


@contextmanager
def _quiet_pillow() -> Generator[None]:
    """Pillow's remarks on odd files are not the user's concern, but a bomb is an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
