"""Processes that die: torchrun restarts a run from its last checkpoint, or it ends and says why."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch.distributed as dist

from helpers.ranks import launched_ranks, needs_proc
from helpers.training import assert_identical, final_state, metrics, timeless, tiny, wait_for_step
from sngan import cli
from sngan.config import Config, PerformanceConfig
from sngan.distributed import rendezvous
from sngan.engine import TrainState
from sngan.engine import train as training
from sngan.runs import checkpoint

STEPS = 400
# torch itself would wait for half an hour; a busy machine takes a minute to start two ranks again
PATIENCE = 240
SETTINGS = "width=0.1 batch_size=8 n_critic=1 log_every=20 save_every=20 sample_every=400"


def torchrun(out: Path, *, restarts: int) -> subprocess.Popen:
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    launcher.append(f"--max-restarts={restarts}")
    command = ["sngan", "train", "--out", str(out), "--steps", str(STEPS), "--set"]
    settings = [*SETTINGS.split(), "device=cpu", "devices=2"]
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "-m", *command, *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen, rank: int) -> dict[int, int]:
    """Kill one rank's process; return those of all ranks."""
    pids = launched_ranks(process)
    assert pids.keys() == {0, 1}
    os.kill(pids[rank], signal.SIGKILL)
    return pids


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    process = torchrun(run, restarts=0)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return run


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.bitwise
def test_a_restarted_run_is_the_undisturbed_one_bit_for_bit(tmp_path, undisturbed, victim):
    run = tmp_path / "run"
    process = torchrun(run, restarts=1)
    wait_for_step(run, 40, process)
    kill(process, victim)
    killed, before = time.monotonic(), checkpoint.read_newest(run / "checkpoints")[0]["step"]
    assert before < STEPS
    wait_for_step(run, before + 20, process)
    assert time.monotonic() - killed < PATIENCE
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.count("sngan: restarted by torchrun: goes on from step ") == 1
    assert_identical(final_state(run), final_state(undisturbed))
    assert [record["step"] for record in metrics(run)] == list(range(20, STEPS + 1, 20))
    assert timeless(metrics(run)) == timeless(metrics(undisturbed))


@pytest.mark.slow
@needs_proc
def test_killed_before_the_first_checkpoint_it_begins_again(tmp_path):
    run = tmp_path / "run"
    process = torchrun(run, restarts=1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(launched_ranks(process)) < 2:
        time.sleep(0.05)
    kill(process, 1)
    assert not run.exists()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert final_state(run)["step"] == STEPS


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("victim", [0, 1])
def test_without_restarts_a_killed_rank_ends_the_run(tmp_path, victim):
    run = tmp_path / "run"
    process = torchrun(run, restarts=0)
    wait_for_step(run, 40, process)
    pids = kill(process, victim)
    killed = time.monotonic()
    _, errors = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - killed < PATIENCE
    assert process.returncode == 1
    assert f"rank      : {victim} (local_rank: {victim})" in errors
    assert "Signal 9 (SIGKILL)" in errors
    assert f"rank {1 - victim}: RuntimeError: " in errors
    assert f"last checkpoint: {run / 'checkpoints' / 'last.pt'}" in errors
    assert errors.count("Traceback") == 1, "torchrun's own"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def test_greetings_of_the_dead_keep_no_session_from_opening():
    store = dist.HashStore()
    store.set("greeting/1", "of a dead process")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(rendezvous.open_session, store, 3)
        others = [pool.submit(rendezvous.enter_session, store, rank) for rank in (2, 1)]
        names = {future.result(timeout=20) for future in (first, *others)}
        assert len(names) == 1
        again = pool.submit(rendezvous.open_session, store, 3)
        others = [pool.submit(rendezvous.enter_session, store, rank) for rank in (1, 2)]
        new_names = {future.result(timeout=20) for future in (again, *others)}
    assert len(new_names) == 1
    assert names != new_names


ALONE = PerformanceConfig(device="cpu")


def test_restarted_it_goes_on(tmp_path, monkeypatch, caplog):
    config = tiny(tmp_path / "run", steps=10, performance=ALONE)
    training.train(config)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    training.train(replace(config, steps=20), overwrite=True)
    assert "restarted by torchrun: goes on from step 10" in caplog.text
    assert [record["step"] for record in metrics(tmp_path / "run")] == [5, 10, 15, 20]


def test_restarted_a_run_of_some_hours_keeps_its_steps(tmp_path, monkeypatch, caplog):
    begun = tiny(tmp_path / "run", steps=10, performance=ALONE)
    training.train(begun)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    training.train(replace(begun, steps=Config().steps, hours=1.0))
    assert "restarted by torchrun: goes on from step 10" in caplog.text
    assert final_state(tmp_path / "run")["step"] == 10


def test_restarted_with_other_settings_it_is_refused(tmp_path, monkeypatch):
    config = tiny(tmp_path / "run", steps=10, performance=ALONE)
    training.train(config)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(ValueError, match=r"resume: expected the run's own settings, got seed"):
        training.train(replace(config, seed=1), overwrite=True)


def test_a_first_start_does_not_go_on_by_itself(tmp_path, monkeypatch):
    config = tiny(tmp_path / "run", steps=10, performance=ALONE)
    training.train(config)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    with pytest.raises(ValueError, match="out: expected a new or empty folder"):
        training.train(config)


def test_a_run_that_ended_before_its_first_checkpoint_is_in_nobodys_way(tmp_path, monkeypatch):
    config = tiny(tmp_path / "run", steps=10, performance=ALONE)
    with monkeypatch.context() as patched:
        patched.setattr(TrainState, "build", no_memory)
        with pytest.raises(training.TrainingError, match="no memory"):
            training.train(config)
    assert (tmp_path / "run" / "config.yaml").exists()
    training.train(config)
    assert final_state(tmp_path / "run")["step"] == 10


def test_a_failure_is_one_line_and_a_traceback_in_the_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(TrainState, "build", no_memory)
    run = tmp_path / "run"
    command = ["train", "--out", str(run), "--set", "width=0.1", "device=cpu"]
    assert cli.main(command) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("sngan: error: RuntimeError: no memory; log: ")
    assert len(errors.splitlines()) == 1
    assert "Traceback" in (run / "train.log").read_text()


def no_memory(*_: object, **__: object) -> None:
    raise RuntimeError("no memory")


@pytest.mark.parametrize("kept", ["generator.safetensors", "checkpoints/last.pt"])
def test_what_a_run_has_made_is_in_the_way(tmp_path, kept):
    run = tmp_path / "run"
    config = tiny(run, steps=10, performance=ALONE)
    training.train(config)
    for made in (run / "generator.safetensors", *(run / "checkpoints").iterdir()):
        if made != run / kept:
            made.unlink()
    with pytest.raises(ValueError, match="out: expected a new or empty folder"):
        training.train(config)
