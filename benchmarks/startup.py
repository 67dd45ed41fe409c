"""Seconds from the start of `sngan train` to its first step on a folder of JPEGs, with its cache.

The end is the line `step 0 of` in the log. `import torch` alone is shown beside it. The first start
decodes the images into the cache, and later starts map the cache into memory.

    python -m benchmarks.startup [--images N] [--starts N] [--json FILE]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import argument_parser, timed, write_json
from benchmarks.data import write_jpegs

_SIDE = 64
_CLASSES = 10


def start(folder: Path, out: Path, *, cache: Path) -> float:
    """Seconds to the first step."""
    settings = f"--steps 1 --set resolution={_SIDE} width=0.1 batch_size=8 n_critic=1"
    command = [sys.executable, "-m", "sngan", "train", "--data", str(folder), "--out", str(out)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *settings.split()],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
    )
    log = out / "train.log"
    while not (log.exists() and "step 0 of" in log.read_text()):
        if process.poll():
            raise SystemExit(f"sngan train ended with {process.returncode}")
        time.sleep(0.002)
    seconds = time.perf_counter() - started
    process.wait()
    return seconds


def import_torch() -> float:
    command = [sys.executable, "-c", "import torch"]
    return timed(lambda: subprocess.run(command, check=True))[1].wall


def main() -> None:
    parser = argument_parser(__doc__, "startup")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for number in range(_CLASSES):
            folder = root / "images" / str(number)
            folder.mkdir(parents=True)
            write_jpegs(folder, count=arguments.images // _CLASSES, side=96)
        torch = [import_torch() for _ in range(arguments.starts + 1)][1:]
        first, *later = (
            start(root / "images", root / f"run{number}", cache=root / "cache")
            for number in range(arguments.starts + 1)
        )
    rows = {"import torch": sorted(torch), "first start": [first], "later starts": sorted(later)}
    print(f"{arguments.images} JPEGs of side 96 to {_SIDE}, seconds to the first step")
    for name, seconds in rows.items():
        print(f"{name:14} median {seconds[len(seconds) // 2]:6.2f}, least {seconds[0]:6.2f}")
    write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
