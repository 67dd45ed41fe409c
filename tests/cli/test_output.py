"""Closed pipes, lost terminals and terminals of few characters do not end a run."""

import io
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.commands import Command
from helpers.folders import SMALL
from sngan.cli import main
from sngan.runs import checkpoint
from sngan.utils.progress import Progress
from sngan.utils.streams import PrintableFormatter, TolerantStream

# pictures would take most of the time of these runs
TRAIN = ["train", *SMALL, "log_every=1", "sample_every=1000"]


def test_a_run_goes_on_when_its_pipe_is_closed(tmp_path):
    process = Command(*TRAIN, "--steps", "6", "--out", str(tmp_path / "run"))
    assert process.stdout.readline().startswith("step 1/6")
    process.stdout.close()
    with process.stderr:
        errors = process.stderr.read()
    assert process.wait(timeout=120) == 0, errors
    assert errors == ""
    assert checkpoint.read_newest(tmp_path / "run" / "checkpoints")[0]["step"] == 6


@pytest.mark.parametrize(("command", "status"), [("no-such-command", 2), ("cache", 1)])
def test_commands_that_are_started_with_a_closed_stream(command, status):
    line = f"'{sys.executable}' -m sngan {command} >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120)
    assert done.returncode == status
    assert done.stderr.startswith("sngan: error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_saves_and_nohup_goes_on(tmp_path, ignored):
    out = tmp_path / "run"
    command = [
        *TRAIN,
        "save_every=1000",
        "--out",
        str(out),
        "--steps",
        "8" if ignored else "99999",
    ]
    process = Command(*command, nohup=ignored)
    assert process.stdout.readline().startswith("step 1/")
    # The signal comes again and again, also after the last step, until the process ends.
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == (0 if ignored else 130), errors
    step = checkpoint.read_newest(out / "checkpoints")[0]["step"]
    assert step == 8 if ignored else step > 0


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "cp437"])
def test_every_terminal_can_print_the_figures(encoding):
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    record = {"step": 1, "generator_gradient_norm": 0.5, "sigma": {"a": 1.0}, "w1_bound": 1.0,
              "steps_per_second": 1.0}  # fmt: skip
    with Progress(total=2, file=stream) as progress:
        progress.log(record)
        progress.note("日本")
    stream.flush()
    text = buffer.getvalue().decode(encoding)
    assert ("|∇G| 0.5" if encoding == "utf-8" else "|grad G| 0.5") in text
    assert ("日本" if encoding == "utf-8" else "\\u65e5\\u672c") in text


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.failure = error

    def write(self, text):
        raise self.failure


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed")])
def test_a_stream_that_breaks_is_silent_from_then_on(error):
    stream = TolerantStream(Broken(error))
    for _ in range(3):
        print("x", file=stream, flush=True)
    assert stream.error is error
    assert not stream.isatty()


def test_an_answer_that_cannot_be_given_is_an_error():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "sngan", "cache", "--json", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ("sngan: error: standard output: [Errno 28] No space left on device\n")


def test_a_log_has_one_line_a_message_and_marks_tracebacks():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("x")
    log.addHandler(handler)
    log.info("file %s", "a\nINFO forged\x1b[2J")
    try:
        raise ValueError("two\nINFO forged")
    except ValueError:
        log.exception("failed")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "INFO file a\\nINFO forged\\x1b[2J"
    assert lines[1] == "ERROR failed"
    assert all(line.startswith("  | ") for line in lines[2:])


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\u202eb", os.fsdecode(b"a\xffb")])
def test_names_are_shown_escaped_in_errors(name, capsys):
    assert main(["generate", f"/none/{name}", "--out", "x"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert error.rstrip("\n").isprintable()
