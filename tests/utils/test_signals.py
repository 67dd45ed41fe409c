"""Signals: Ctrl-C while a command is imported, which takes seconds because of torch."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = """
import sys, time
print("importing", flush=True)
time.sleep({seconds})
DESCRIPTION = "slow"
def add_arguments(parser): pass
def run(values): print("ran")
"""
START = """
import importlib, sys
program = importlib.import_module("sngan.cli.main")
sys.modules["sngan.cli"].__path__.append(sys.argv[1])
program.COMMANDS["slow"] = "a command with a slow import"
sys.exit(program.main(["slow"]))
"""


def started(folder: Path, *, seconds: float) -> subprocess.Popen[str]:
    (folder / "slow.py").write_text(SLOW.format(seconds=seconds))
    command = [sys.executable, "-c", START, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_an_import_is_one_line_and_no_traceback(tmp_path, number):
    with started(tmp_path, seconds=60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, said, errors) == (130, "", "sngan: interrupted\n")


def test_a_command_whose_import_is_not_interrupted_runs(tmp_path):
    with started(tmp_path, seconds=0) as process:
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, said, errors) == (0, "importing\nran\n", "")
