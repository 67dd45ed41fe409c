"""Samples of a run as files: a folder of PNGs, an .npz, or one grid PNG."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan import pictures
from sngan._checks import require, require_count
from sngan.console import counting
from sngan.run import Run


def export(
    run: Run,
    out: Path,
    *,
    n: int,
    seed: int = 0,
    labels: Tensor | int | None = None,
    overwrite: bool = False,
) -> None:
    """Draw ``n`` samples and write them to ``out``.

    ``FILE.png`` is one grid (or a scatter of points); ``FILE.npz`` has the array ``samples``,
    uint8 ``(n, height, width, channels)`` images or float32 ``(n, dim)`` points, and of a
    conditional run ``labels``, int64 ``(n,)``; anything else is a folder: ``00000.png`` … for
    images, ``points.csv`` for points.

    Raises
    ------
    ValueError
        ``out`` is there already, and not to be overwritten; labels as in :meth:`Run.generate`.
    """
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
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
            pictures.save_samples(torch.cat(list(batches)), out)
        elif out.suffix == ".npz":
            samples = np.concatenate([_array(batch) for batch in batches])
            if drawn is None:
                np.savez(out, samples=samples)
            else:
                np.savez(out, samples=samples, labels=drawn.numpy())
        else:
            _save_folder(batches, out)


def _counted(
    batches: Iterable[Tensor], *, total: int, progress: Callable[[int, int], None]
) -> Iterator[Tensor]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        progress(done, total)


def _array(samples: Tensor) -> NDArray[Any]:
    """Images as uint8 (n, height, width, channels); points as they are."""
    if samples.dim() == 2:
        return samples.numpy()
    return pictures.to_uint8(samples).permute(0, 2, 3, 1).contiguous().numpy()


def _save_folder(batches: Iterable[Tensor], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    first = 0
    with ThreadPoolExecutor() as pool:
        for batch in batches:
            array = _array(batch)
            if array.ndim == 2:
                with (folder / "points.csv").open("ab" if first else "wb") as file:
                    np.savetxt(file, array, delimiter=",", fmt="%.7g")
            else:
                paths = (folder / f"{first + i:05d}.png" for i in range(len(array)))
                list(pool.map(_save_png, array, paths))
            first += len(array)


def _save_png(image: NDArray[Any], path: Path) -> None:
    from PIL import Image

    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(path)
