"""Processes of a run: killed, interrupted, refused, started by torchrun; by both strategies."""

import os
import signal
import time
from pathlib import Path

import pytest

from helpers.ranks import needs_proc, spawned_ranks, start
from helpers.training import final_state, wait_for_step
from sngan.runs import checkpoint

pytestmark = pytest.mark.slow
STRATEGIES = ["ddp", "fsdp"]


def by(strategy: str) -> tuple[str, str]:
    return "--performance.strategy", strategy


@needs_proc
@pytest.mark.parametrize(("strategy", "victim"), [("auto", 0), ("auto", 1), ("fsdp", 1)])
def test_a_killed_rank_ends_the_run_which_can_be_resumed(tmp_path, strategy, victim):
    run = tmp_path / "run"
    process = start(run, "--steps", "100000", *by(strategy))
    wait_for_step(run, 20, process)
    pids = spawned_ranks(process)
    assert len(pids) == 2
    os.kill(pids[victim], signal.SIGKILL)
    killed = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert process.returncode == 1
    assert errors.startswith("sngan: error: ")
    assert "last checkpoint: " in errors
    assert len(errors.splitlines()) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    step = checkpoint.read_newest(run / "checkpoints")[0]["step"]
    again = start(run, "--resume", "--steps", str(step + 10), *by(strategy))
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert final_state(run)["step"] == step + 10


@needs_proc
@pytest.mark.parametrize(
    ("strategy", "number"),
    [("auto", signal.SIGINT), ("auto", signal.SIGTERM), ("fsdp", signal.SIGINT)],
)
def test_an_interrupt_saves_once_and_exits_130(tmp_path, strategy, number):
    run = tmp_path / "run"
    process = start(run, "--steps", "100000", *by(strategy))
    wait_for_step(run, 10, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("sngan: interrupted at step ")
    assert len(errors.splitlines()) == 1
    assert f"step {checkpoint.read(run / 'checkpoints' / 'last.pt')['step']};" in errors


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_wrong_request_is_one_line_and_status_2(tmp_path, strategy):
    process = start(tmp_path / "run", "--data", str(tmp_path / "nothing"), *by(strategy))
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("sngan: error: --data")
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_torchrun_starts_the_processes(tmp_path, strategy):
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")
    run = tmp_path / "run"
    process = start(run, "--steps", "10", *by(strategy), launcher=launcher)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert output.count("step 10/10") == 1
    assert output.count("report:") == 1
    assert final_state(run)["step"] == 10
    assert (run / "report.html").stat().st_size > 10_000
