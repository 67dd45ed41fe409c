"""How long `sngan train` takes to its first step on a folder of JPEGs, the first time and later.

Measured from the start of the process to the log's line `step 0 of`, beside `import torch` alone.
The first start decodes the images, the others map what it kept.

    python benchmarks/startup.py [--images N] [--starts N] [--json FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data import write_jpegs

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
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/startup.json"))
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
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(rows, indent=2))
    print(f"written: {arguments.json}")


if __name__ == "__main__":
    main()
