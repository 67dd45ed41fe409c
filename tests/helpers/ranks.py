"""Work on several ranks: in processes that fork from a prepared one, or started as users do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.forkserver import CONTEXT
from sngan.config import PerformanceConfig
from sngan.distributed import strategies
from sngan.engine.fabric import run_on_ranks

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")


def on_ranks(settings: PerformanceConfig, work: Callable[..., Any], *arguments: Any) -> Any:
    """``run_on_ranks`` without the seconds in which each process imports torch and Fabric.

    The processes fork from the server of ``helpers.forkserver``.
    """
    with mock.patch.object(strategies, "START_METHOD", CONTEXT.get_start_method()):
        return run_on_ranks(settings, work, *arguments)


def start(out: Path, *flags: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start a run on two ranks, by sngan itself or by a launcher such as torchrun."""
    command = [sys.executable, "-m", *launcher, "sngan", "train", "--out", str(out)]
    settings = "width=0.1 batch_size=8 n_critic=1 log_every=50 save_every=10 device=cpu devices=2"
    return subprocess.Popen(
        [*command, *flags, "--set", *settings.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def spawned_ranks(process: subprocess.Popen) -> list[int]:
    """The processes that a command spawned, in the order of their ranks."""
    return [
        int(pid)
        for pid in _children(process)
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def launched_ranks(process: subprocess.Popen) -> dict[int, int]:
    """The process of each rank that torchrun has running."""
    environments = {
        pid: Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in _children(process)
    }
    return {
        int(rank): int(pid)
        for pid, variables in environments.items()
        for rank in [line.removeprefix("RANK=") for line in variables if line.startswith("RANK=")]
    }


def _children(process: subprocess.Popen) -> list[str]:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
