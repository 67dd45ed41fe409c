"""An epoch of streamed data: memory along it, images per second, the time to resume.

It writes small synthetic JPEGs as tar shards and as Parquet, with their numbers as labels. From
each it draws one epoch of batches of 64, in a process of its own. Every image must come once, and a
sampler that resumes in the middle must draw the same batch.

    python -m benchmarks.streaming [--images N] [--side PIXELS] [--json FILE]
"""

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.common import argument_parser, cpu_seconds, in_new_process, timed, write_json
from sngan import data

_BATCH = 64
_SHARD, _ROW_GROUP = 5_000, 1_000
_POINTS = 10


def jpegs(numbers: range, *, side: int) -> Iterator[bytes]:
    """Smooth noise, which compresses about as photographs do."""
    for number in numbers:
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        encoded = io.BytesIO()
        image.save(encoded, "JPEG", quality=90)
        yield encoded.getvalue()


def write_shards(folder: Path, *, count: int, side: int) -> str:
    for start in range(0, count, _SHARD):
        numbers = range(start, min(start + _SHARD, count))
        with tarfile.open(folder / f"{start:08}.tar", "w") as tar:
            for number, image in zip(numbers, jpegs(numbers, side=side), strict=True):
                for extension, content in (("jpg", image), ("cls", str(number).encode())):
                    member = tarfile.TarInfo(f"{number:08}.{extension}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return f"shards:{folder}/*.tar"


def write_parquet(folder: Path, *, count: int, side: int) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": kind, "label": pa.int64()})
    with pq.ParquetWriter(folder / "images.parquet", schema) as writer:
        for start in range(0, count, _ROW_GROUP):
            numbers = range(start, min(start + _ROW_GROUP, count))
            images = [{"bytes": image, "path": None} for image in jpegs(numbers, side=side)]
            writer.write_table(pa.table({"image": images, "label": list(numbers)}, schema))
    return str(folder / "images.parquet")


def measure(source: str, cache_dir: Path) -> dict[str, object]:
    """Start twice, draw an epoch, resume in its middle."""
    start = partial(data.open_source, source, cache="stream", cache_dir=cache_dir)
    (_, first), (dataset, second) = timed(start), timed(start)
    new = partial(data.Sampler, dataset, _BATCH, dequantize=False)
    sampler = new()
    batches = dataset.total // _BATCH
    middle = batches // 2
    seen = torch.zeros(dataset.total, dtype=torch.long)
    memory, state, expected = [], {}, None
    started = time.perf_counter(), cpu_seconds()
    for batch in range(batches):
        if batch == middle:
            state = sampler.state_dict()
        drawn = sampler.next()
        seen.index_add_(0, drawn.labels, torch.ones_like(drawn.labels))
        expected = drawn if batch == middle else expected
        if (batch + 1) % (batches // _POINTS) == 0:
            memory.append(resident_megabytes())
    wall, cpu = time.perf_counter() - started[0], cpu_seconds() - started[1]
    started = time.perf_counter()
    resumed = new()
    resumed.load_state_dict(state)
    again = resumed.next()
    return {
        "first_start_seconds": first.wall,
        "second_start_seconds": second.wall,
        "megabytes": memory,
        "growth_after_a_tenth": max(memory[1:]) / memory[0] - 1,
        "images_per_second": batches * _BATCH / wall,
        "images_per_cpu_second": batches * _BATCH / cpu,
        "drawn_once": int((seen == 1).sum()),
        "drawn_more": int((seen > 1).sum()),
        "resume_seconds": time.perf_counter() - started,
        "resumed_equal": torch.equal(again.samples, expected.samples),
    }


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argument_parser(__doc__, "streaming")
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=48)
    arguments = parser.parse_args()
    results = {}
    for name, write in (("shards", write_shards), ("parquet", write_parquet)):
        with tempfile.TemporaryDirectory() as temporary:
            folder, cache_dir = Path(temporary, "data"), Path(temporary, "cache")
            folder.mkdir()
            source = write(folder, count=arguments.images, side=arguments.side)
            size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
            results[name] = in_new_process(measure, source, cache_dir)
        print(f"\n{name}: {arguments.images} images of side {arguments.side}, {size:.0f} MB")
        for key, value in results[name].items():
            shown = [round(v) for v in value] if isinstance(value, list) else value
            print(f"  {key:24} {shown:.4g}" if isinstance(shown, float) else f"  {key:24} {shown}")
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
