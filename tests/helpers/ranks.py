"""Runs on several ranks, started as a user starts them."""

import subprocess
import sys
from pathlib import Path

import pytest


def start(out: Path, *flags: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [sys.executable, "-m", *launcher, "sngan", "train", "--out", str(out)]
    settings = "width=0.1 batch_size=8 n_critic=1 log_every=50 save_every=10 device=cpu devices=2"
    return subprocess.Popen(
        [*command, *flags, "--set", *settings.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ranks_of(process: subprocess.Popen) -> list[int]:
    """The processes that a command spawned, in order."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    spawned = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return [int(pid) for pid in spawned]


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")
