"""Export of samples: a folder of PNGs, an ``.npz`` file, or one PNG with a grid."""

import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.runs import sample_grid
from sngan.runs.lock import locked
from sngan.runs.manifest import HIDDEN, Manifest
from sngan.runs.run import Run
from sngan.utils.checks import require, require_count
from sngan.utils.files import atomic_write, expand_home, named_in_errors
from sngan.utils.progress import counting

_KIND = "sngan samples 1"
_NAMES = re.compile(r"\d{5,}\.png|points\.csv")
# batches that wait to be written: enough to keep all threads busy, few enough for the memory
_WAITING = 8


def export(
    run: Run,
    out: Path,
    *,
    n: int,
    seed: int = 0,
    labels: Tensor | int | None = None,
    overwrite: bool = False,
) -> None:
    """Draw ``n`` samples and write them to files.

    For folders and ``.npz`` files only a few batches are in memory at a time. Threads write PNGs
    while the next batches are drawn.

    Parameters
    ----------
    run
        The run.
    out
        ``FILE.png`` gets one grid of images or a scatter of points. ``FILE.npz`` gets an array
        ``samples``, uint8 ``(n, height, width, channels)`` images or float32 ``(n, dim)`` points,
        and for a conditional run ``labels``, int64 ``(n,)``. Any other name is a folder, which gets
        ``00000.png`` … for images and ``points.csv`` for points.
    n
        The number of samples.
    seed
        The seed of the noise.
    labels
        Labels as for :meth:`Run.generate`.
    overwrite
        Replace an earlier export.

    Raises
    ------
    ValueError
        If ``out`` exists and ``overwrite`` is false, if a file that no earlier call wrote has the
        name of a sample, or if the labels do not fit.
    """
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    out = Path(expand_home(str(out)))
    occupied = out.is_file() or (out.is_dir() and any(out.iterdir()))
    require(
        overwrite or not occupied,
        "out",
        expected="a new file or an empty folder (--overwrite replaces)",
        got=out,
    )
    drawn = run.labels(n, labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    with counting("drawing") as progress:
        batches = _counted(run.batches(n, seed=seed, labels=drawn), total=n, progress=progress)
        if out.suffix == ".png":
            sample_grid.save_samples(torch.cat(list(batches)), out)
        elif out.suffix == ".npz":
            _save_npz(batches, out, n=n, labels=drawn)
        else:
            is_points = len(run.config.model.sample_shape or ()) == 1
            names = ["points.csv"] if is_points else [f"{number:05d}.png" for number in range(n)]
            with _folder_for(names, out):
                (_save_points if is_points else _save_images)(batches, out)


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


def _save_images(batches: Iterable[Tensor], folder: Path) -> None:
    _in_background(_saving(batches, folder))


def _saving(batches: Iterable[Tensor], folder: Path) -> Iterator[Callable[[], None]]:
    first = 0
    for batch in batches:
        yield partial(_save_pngs, _array(batch), folder, first)
        first += len(batch)


def _save_pngs(images: NDArray[Any], folder: Path, first: int) -> None:
    from PIL import Image

    for number, image in enumerate(images, start=first):
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        with named_in_errors(folder / f"{number:05d}.png") as path:
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
