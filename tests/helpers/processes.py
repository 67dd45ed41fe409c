"""The processes of a run on several ranks, found in /proc."""

import subprocess
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")


def workers(process: subprocess.Popen) -> dict[int, int]:
    """The process of each rank that torchrun has running."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    environments = {pid: Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in children}
    return {
        int(rank): int(pid)
        for pid, variables in environments.items()
        for rank in [line.removeprefix("RANK=") for line in variables if line.startswith("RANK=")]
    }
