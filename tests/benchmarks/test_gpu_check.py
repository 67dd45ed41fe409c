"""Check of a GPU machine: its parts run on the CPU, and none of them can stop the others."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.limited import run_limited

from benchmarks import gpu_check, gpu_parts
from helpers import limited_functions
from helpers.ranks import needs_proc

ROOT = Path(__file__).parents[2]
DRY = gpu_parts.Options(dry_run=True)
PARTS_OF_RESULTS = {
    "capture": {"captured", "critic_loss", "generator_loss"},
    "loops": {"size", "steps_per_second", "share_of_time"},
    "spectral_norm": {"size", "share"},
    "paper": {"data", "steps", "steps_per_second"},
}


def test_the_parts_together_take_less_than_8_minutes():
    assert sum(part.seconds for part in gpu_check.PARTS.values()) + 20 < 480


@pytest.mark.parametrize("name", PARTS_OF_RESULTS)
def test_each_part_runs_with_tiny_sizes_on_the_cpu(name):
    result = gpu_check.PARTS[name].run(DRY)
    assert result.keys() >= PARTS_OF_RESULTS[name]
    assert json.loads(json.dumps(result)) == result


def test_a_part_that_fails_dies_or_raises_is_recorded_and_the_rest_goes_on():
    names = ("raises", "dies", "returns")
    parts = {name: gpu_check.Part(getattr(limited_functions, name), 60) for name in names}
    # plain options, so that the new processes need not import torch
    found = gpu_check.check(parts, "given")
    assert found["ok"] is False
    assert found["parts"]["raises"]["error"] == "ValueError: given"
    assert found["parts"]["dies"]["error"] == "its process ended with status 7"
    assert found["parts"]["returns"]["result"] == {"value": "given"}


@needs_proc
def test_a_function_that_hangs_ends_with_all_its_processes(tmp_path):
    path = tmp_path / "number of its child"
    begun = time.monotonic()
    found = run_limited(limited_functions.hangs_with_a_child, str(path), 3)
    assert found["error"] == "not done after 3 s"
    assert time.monotonic() - begun < 60
    # on a busy machine it may be ended before it has a child
    if path.exists():
        child = Path("/proc") / path.read_text() / "stat"
        # a process that has ended may stay in the table, as a zombie
        assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
def test_the_command_writes_one_json_and_says_by_its_status_whether_all_is_well(tmp_path):
    file = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--dry-run", "--out", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(file.read_text())
    assert done.returncode == 0, done.stderr
    assert found["ok"] is True
    assert found["parts"].keys() == gpu_check.PARTS.keys()
    assert "skipped" in found["parts"]["tests"]["result"]["summary"]
