"""Images per second from a folder of JPEGs to one array, and the start-up time from the cache.

`sngan` decodes in threads, once; `PIL loop` is one thread of open, crop, resize, with Lanczos
filter as usual and with the bicubic one that sngan uses; `DataLoader` is torch's, with a data set
of the same work as the PIL loop's in each `__getitem__` and worker processes. CPU time counts
threads and worker processes: images per CPU second are images per second and core.

    python -m benchmarks.data [--images N] [--side PIXELS] [--rounds N] [--json FILE]
"""

import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.common import Table, argument_parser, interleaved, medians, write_json
from sngan import data

_SIDE = 64
TABLE = Table(
    "",
    20,
    [("wall s", "7.3f"), ("CPU s", "7.3f"), ("images/s", "9.0f"), ("images/CPU s", "13.0f")],
)


def write_jpegs(folder: Path, *, count: int, side: int) -> None:
    """Smooth noise, which compresses about as photographs do."""
    generator = np.random.default_rng(0)
    for index in range(count):
        coarse = generator.integers(0, 256, (side // 8, side // 8 + 2, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side + 16, side), Image.Resampling.BICUBIC)
        image.save(folder / f"{index:05d}.jpg", quality=90)


def decode(path: Path, filter: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    with Image.open(path) as image:
        fitted = ImageOps.fit(image.convert("RGB"), (_SIDE, _SIDE), filter)
    return np.asarray(fitted).transpose(2, 0, 1)


class Folder(Dataset[Tensor]):
    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(decode(self.paths[index]).copy())


def pil_loop(folder: Path, filter: Image.Resampling) -> None:
    np.stack([decode(path, filter) for path in sorted(folder.iterdir())])


def loader(folder: Path) -> None:
    batches = DataLoader(Folder(folder), batch_size=64, num_workers=os.cpu_count() or 1)
    torch.cat(list(batches))


def sngan(
    folder: Path,
    *,
    cache: str = "memory",
    cache_dir: Path | None = None,
    workers: int | None = None,
) -> None:
    opened = data.open_source(
        str(folder), resolution=_SIDE, cache=cache, cache_dir=cache_dir, workers=workers
    )
    # mapped pages are read when they are first touched
    opened.samples.numpy().max()


def measure(folder: Path, cache_dir: Path, *, rounds: int) -> dict[str, dict[str, float]]:
    """Medians over rounds, in each of which every contender runs once."""
    jobs = {
        "sngan": partial(sngan, folder),
        "sngan, one thread": partial(sngan, folder, workers=1),
        "PIL loop": partial(pil_loop, folder, Image.Resampling.LANCZOS),
        "PIL loop, bicubic": partial(pil_loop, folder, Image.Resampling.BICUBIC),
        "DataLoader": partial(loader, folder),
        "sngan, second start": partial(sngan, folder, cache="disk", cache_dir=cache_dir),
    }
    jobs["sngan, second start"]()  # the first start fills the cache
    count = len(list(folder.iterdir()))
    rows = {}
    for name, times in interleaved(jobs, rounds=rounds).items():
        wall, cpu = medians(times)
        rows[name] = {
            "wall_seconds": wall,
            "cpu_seconds": cpu,
            "images_per_second": count / wall,
            "images_per_cpu_second": count / cpu,
        }
    return rows


def main() -> None:
    parser = argument_parser(__doc__, "data")
    parser.add_argument("--images", type=int, default=2000, help="20000 for a longer run")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache_dir = Path(temporary, "images"), Path(temporary, "cache")
        folder.mkdir()
        write_jpegs(folder, count=arguments.images, side=arguments.side)
        rows = measure(folder, cache_dir, rounds=arguments.rounds)
    print(f"{arguments.images} JPEGs of side {arguments.side} to {_SIDE}; {os.cpu_count()} cores")
    print(TABLE.head())
    for name, row in rows.items():
        print(TABLE.line(name, *row.values()))
    write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
