"""One process at a time trains in a folder; a dead one is in nobody's way."""

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import sngan
from helpers.commands import Command
from helpers.folders import contents, tiny
from sngan.cli import main
from sngan.runs import lock
from sngan.runs.lock import FolderInUseError, holder_of, locked

HOLD = """
import sys
from pathlib import Path
from sngan.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder whose lock another process holds, and that process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield tmp_path / "run", process
    process.communicate()


def forged(folder, **changes):
    """A lock file that some process left, and when it was last renewed."""
    record = lock._own()._asdict() | {"pid": 4194303, "started": "7"} | changes
    path = folder / ".sngan" / "lock"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return path


def test_the_second_gets_one_line_and_status_2(held, capsys):
    folder, process = held
    before = contents(folder)
    for command in (["train"], ["compare", "--methods", "sn"]):
        assert main([*command, "--data", "ring8", "--steps", "1", "--out", str(folder)]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert f"in use by process {process.pid} on {platform.node()}" in error
    assert contents(folder) == before


def test_a_killed_holder_is_in_nobodys_way(held):
    folder, process = held
    assert holder_of(folder).pid == process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert holder_of(folder) is None
    with locked(folder):
        assert holder_of(folder).pid == os.getpid()
    assert not (folder / ".sngan" / "lock").exists()


def test_a_stopped_holder_still_holds(held):
    folder, process = held
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(FolderInUseError), locked(folder):
            pass
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_it_is_not_reentrant_and_leaves_nothing(tmp_path):
    with locked(tmp_path / "a" / "b"):
        with pytest.raises(FolderInUseError), locked(tmp_path / "a" / "b"):
            pass
        assert holder_of(tmp_path / "a" / "b") is not None
    assert list(tmp_path.iterdir()) == []


def no_flock(monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("has_flock", [True, False])
def test_a_dead_process_of_this_machine_is_stale(tmp_path, monkeypatch, has_flock):
    if not has_flock:
        no_flock(monkeypatch)
    # a number that is used again: that process began at another time
    for number, pid in enumerate((4194303, os.getpid(), 1)):
        folder = tmp_path / str(number)
        forged(folder, pid=pid)
        with locked(folder):
            pass


def test_a_living_process_counts_without_the_systems_lock(tmp_path, monkeypatch):
    no_flock(monkeypatch)
    expected = pytest.raises(FolderInUseError, match=f"process {os.getpid()} on")
    with locked(tmp_path), expected, locked(tmp_path):
        pass


@pytest.mark.parametrize("has_flock", [True, False])
def test_another_machine_holds_while_it_renews(tmp_path, monkeypatch, has_flock):
    """On a file system whose locks are not shared, the system's lock is given to both."""
    if not has_flock:
        no_flock(monkeypatch)
    path = forged(tmp_path, host="elsewhere", boot="another")
    with pytest.raises(FolderInUseError, match="on elsewhere"), locked(tmp_path):
        pass
    assert holder_of(tmp_path).host == "elsewhere"
    os.utime(path, (time.time() - 61, time.time() - 61))
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        pass


def test_a_restarted_run_waits_for_a_lock_to_grow_old(tmp_path):
    path = forged(tmp_path, host="elsewhere", boot="another")
    old = time.time() - 58
    os.utime(path, (old, old))
    with locked(tmp_path, wait=True):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff", b"[" * 10**5])
def test_a_lock_file_that_says_nothing_is_stale(tmp_path, content):
    forged(tmp_path).write_bytes(content)
    with locked(tmp_path):
        pass


def test_a_name_of_a_machine_cannot_move_the_cursor(tmp_path):
    forged(tmp_path, host="\x1b[2Jevil\nsngan: done", boot="another")
    with (
        pytest.raises(FolderInUseError, match=r"on \\x1b\[2Jevil\\nsngan: done$"),
        locked(tmp_path),
    ):
        pass


def test_two_threads_of_one_process_do_not_train_at_once(tmp_path):
    errors = []

    def train(name):
        try:
            sngan.train(tiny(tmp_path / name, steps=10))
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=train, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 1
    assert errors[0].startswith("train: expected one training at a time in a process")
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    alone = sngan.train(tiny(tmp_path / "alone", steps=10))
    assert sngan.load(tmp_path / left[0]).generate(4).equal(alone.generate(4))


def test_a_run_that_is_trained_is_read_with_a_word(tmp_path, capfd):
    sngan.train(tiny(tmp_path / "run"))
    with locked(tmp_path / "run"):
        command = Command("report", str(tmp_path / "run"))
        _, errors = command.communicate()
    assert command.returncode == 0
    assert f"is in use by process {os.getpid()} on {platform.node()}" in errors


def test_default_names_do_not_collide(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", "--data", "ring8", "--steps", "1", "--set", "width=0.05", "device=cpu"]
    for _ in range(3):
        assert main(command) == 0
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {"ring8-sn", "ring8-sn-2", "ring8-sn-3"}
    assert main([*command, "--resolution", "2"]) == 2
    assert {path.name for path in (tmp_path / "runs").iterdir()} == names


def test_a_lock_whose_file_cannot_be_removed_is_free_again(tmp_path, monkeypatch):
    def failing(path, missing_ok=False):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched, locked(tmp_path / "run"):
        patched.setattr(Path, "unlink", failing)
    with locked(tmp_path / "run"):
        pass
