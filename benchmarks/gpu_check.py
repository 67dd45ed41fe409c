"""Check of a machine with an NVIDIA GPU, in under 8 minutes: tests, capture, speed, a paper's run.

Each part runs in a process of its own with a time limit, so that a part that fails or hangs is
recorded and the rest goes on. The exit status is 1 then. No part needs a network.

    python -m benchmarks.gpu_check --out gpu.json [--data SOURCE] [--parts NAME ...] [--dry-run]

SOURCE is CIFAR-10, such as a folder of its Parquet files; without it the paper's run trains on
random images. `--dry-run` runs the same code on the CPU with tiny sizes.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_parts
from benchmarks.common import write_json
from benchmarks.gpu_parts import Options
from benchmarks.limited import run_limited
from sngan.utils.plain import finite


@dataclass(frozen=True)
class Part:
    """A part of the check, and how many seconds it may take."""

    run: Callable[[Options], dict[str, Any]]
    seconds: float


PARTS = {
    # the first part compiles the networks, and the others find them in the compiler's cache
    "capture": Part(gpu_parts.capture, 120),
    "loops": Part(gpu_parts.against_loops, 80),
    "spectral_norm": Part(gpu_parts.spectral_share, 70),
    "paper": Part(gpu_parts.paper_run, 120),
    "tests": Part(gpu_parts.cuda_tests, 60),
}
"""The parts by name, 450 seconds together."""


def check(parts: Mapping[str, Part], options: Any) -> dict[str, Any]:
    """Call the parts with the options, one after another; return their numbers and the machine.

    A part has ``ok`` and ``seconds``, and either ``result`` or ``error``.
    """
    begun = time.perf_counter()
    found = {name: run_limited(part.run, options, part.seconds) for name, part in parts.items()}
    return {
        "ok": all(part["ok"] for part in found.values()),
        "seconds": time.perf_counter() - begun,
        "machine": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "parts": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--data", help="CIFAR-10, for the paper's run")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU")
    given = parser.parse_args()
    found = check(
        {name: PARTS[name] for name in given.parts},
        Options(dry_run=given.dry_run, data=given.data),
    )
    for name, part in found["parts"].items():
        print(f"{name:14} {part['seconds']:6.1f} s  {part.get('error', 'ok')}")
    write_json({"dry_run": given.dry_run, **finite(found)}, given.out)
    sys.exit(0 if found["ok"] else 1)


if __name__ == "__main__":
    main()
