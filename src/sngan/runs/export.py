"""Export of samples: a folder of PNGs, an ``.npz`` file, or one picture with a grid."""

import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.runs import sample_grid
from sngan.runs.drawing import (
    Drawing,
    captions_of,
    check_look,
    drawn_labels,
    drawn_samples,
    file_names,
    is_of_points,
)
from sngan.runs.lock import locked
from sngan.runs.manifest import HIDDEN, Manifest
from sngan.runs.run import Run
from sngan.utils.checks import require
from sngan.utils.endings import STILL, ending_of, require_ending
from sngan.utils.files import atomic_write, expand_home, named_in_errors
from sngan.utils.progress import counting

_KIND = "sngan samples 1"
_NAMES = re.compile(r"\d{5,}\.png|points\.csv")
# batches that wait to be written: enough to keep all threads busy, few enough for the memory
_WAITING = 8


def export(run: Run, out: str | Path, *, overwrite: bool = False, **choices: Any) -> None:
    """Draw samples and write them to files.

    For folders and ``.npz`` files only a few batches are in memory at a time. Threads write PNGs
    while the next batches are drawn.

    Parameters
    ----------
    run
        The run.
    out
        ``FILE.png`` or another picture gets one grid of images or a scatter of points. ``FILE.npz``
        gets an array ``samples``, uint8 ``(n, height, width, channels)`` images or float32
        ``(n, dim)`` points, and for a conditional run ``labels``, int64 ``(n,)``. A name without an
        ending, or with a slash at its end, is a folder, which gets ``00000.png`` … for images and
        ``points.csv`` for points. With ``seeds`` the images have the names of their seeds.
    overwrite
        Replace an earlier export.
    choices
        The samples, and how a picture shows them: the fields of
        :class:`sngan.runs.drawing.Drawing`, such as ``n`` and ``seed``.

    Raises
    ------
    ValueError
        If the ending is unknown, if ``out`` exists and ``overwrite`` is false, if a file that no
        earlier call wrote has the name of a sample, or if the labels do not fit.
    """
    drawing, kind = Drawing(**choices), kind_of(out)
    out = Path(expand_home(str(out)))
    check_look(run, drawing, kind)
    occupied = out.is_file() or (out.is_dir() and any(out.iterdir()))
    require(
        overwrite or not occupied,
        "out",
        expected="a new file or an empty folder (--overwrite replaces)",
        got=out,
    )
    labels = drawn_labels(run, drawing)
    names = [] if kind else file_names(run, drawing)
    out.parent.mkdir(parents=True, exist_ok=True)
    with counting("drawing") as progress:
        batches = _counted(
            drawn_samples(run, drawing, labels), total=drawing.count, progress=progress
        )
        if kind == ".npz":
            _save_npz(batches, out, n=drawing.count, labels=labels)
        elif kind:
            sample_grid.save_samples(
                torch.cat(list(batches)),
                out,
                columns=None if drawing.columns is None else min(drawing.columns, drawing.count),
                scale=drawing.scale,
                captions=captions_of(run, drawing, labels) if drawing.captions else (),
            )
        else:
            with _folder_for(names, out):
                if is_of_points(run):
                    _save_points(batches, out)
                else:
                    _save_images(batches, out, names=names, scale=drawing.scale or 1)


def kind_of(out: str | Path) -> str:
    """Return the ending of a file of samples, or nothing for a folder.

    Raises
    ------
    ValueError
        If the ending is unknown.
    """
    path = Path(expand_home(str(out)))
    if str(out).endswith(("/", os.sep)) or path.is_dir() or not ending_of(path):
        return ""
    return require_ending(path, (*STILL, ".npz"))


@contextmanager
def _folder_for(names: Sequence[str], folder: Path) -> Generator[None]:
    """Make room for files in a folder: files of an earlier call are set aside, then deleted.

    After an error they are put back. The list of the written files is next to the folder, not in
    it, so the folder contains only samples.
    """
    folder.mkdir(exist_ok=True)
    place = folder.resolve()
    hidden = place.with_name(f".{place.name}{HIDDEN}")
    # the folder above a mounted volume may not be writable
    home = hidden if os.access(place.parent, os.W_OK) else place / HIDDEN
    files = Manifest(place, kind=_KIND, pattern=_NAMES, home=home)
    with locked(place, home=home):
        files.restore()
        if not files.exists():
            files.start()
        files.set_aside()
        try:
            for name in names:
                require(
                    not (place / name).is_file(),
                    "out",
                    expected="a folder in which no other file has the name of a sample",
                    got=place / name,
                )
            files.add(names)
            yield
        except BaseException:
            files.restore()
            raise
        files.delete_set_aside()


def _counted(
    batches: Iterable[Tensor], *, total: int, progress: Callable[[int, int], None]
) -> Iterator[Tensor]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        progress(done, total)


def _array(samples: Tensor) -> NDArray[Any]:
    """Return images as uint8 (n, height, width, channels), and points unchanged."""
    if samples.dim() == 2:
        return samples.numpy()
    return sample_grid.to_uint8(samples).permute(0, 2, 3, 1).contiguous().numpy()


def _save_npz(batches: Iterable[Tensor], out: Path, *, n: int, labels: Tensor | None) -> None:
    """Write the file that ``np.savez`` would write, batch by batch."""
    arrays = map(_array, batches)
    first = next(arrays)
    header = {"descr": first.dtype.str, "fortran_order": False, "shape": (n, *first.shape[1:])}
    with atomic_write(out) as fresh, ZipFile(fresh, "w") as archive:
        with archive.open("samples.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for array in chain([first], arrays):
                file.write(array.tobytes())
        if labels is not None:
            with archive.open("labels.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, labels.numpy())


def _save_points(batches: Iterable[Tensor], folder: Path) -> None:
    with named_in_errors(folder / "points.csv") as path, path.open("w") as file:
        for batch in batches:
            np.savetxt(file, batch.numpy(), delimiter=",", fmt="%.7g")


def _save_images(
    batches: Iterable[Tensor], folder: Path, *, names: Sequence[str], scale: int
) -> None:
    _in_background(_saving(batches, folder, names=iter(names), scale=scale))


def _saving(
    batches: Iterable[Tensor], folder: Path, *, names: Iterator[str], scale: int
) -> Iterator[Callable[[], None]]:
    for batch in batches:
        own = [folder / name for name in islice(names, len(batch))]
        yield partial(_save_pngs, sample_grid.enlarged(batch, scale), own)


def _save_pngs(batch: Tensor, paths: Sequence[Path]) -> None:
    from PIL import Image

    for path, image in zip(paths, _array(batch), strict=True):
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        with named_in_errors(path):
            picture.save(path)


def _in_background(tasks: Iterable[Callable[[], None]]) -> None:
    """Do tasks in threads while the next ones are made; only a few wait at a time."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor() as pool:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > _WAITING:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()
