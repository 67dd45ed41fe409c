"""What a person watches: plain lines without a terminal, a bar on one."""

import io
import re

import pytest

from sngan.utils.progress import Progress, counting

RECORD = {
    "step": 500,
    "critic_loss": 1.234,
    "generator_loss": -0.45,
    "w_estimate": 0.62,
    "generator_gradient_norm": 0.0312,
    "sigma": {"a": 0.5, "b": 1.02},
    "steps_per_second": 81.2,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_have_every_field():
    out = io.StringIO()
    with Progress(total=4000, start=100, file=out) as progress:
        progress.advance(101)
        progress.log(RECORD)
        progress.note("by the way")
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(
        r"step 500/4000  critic 1\.23  generator -0\.45  real−fake 0\.62  \|∇G\| 0\.0312  σ 1\.02  "
        r"81\.2 it/s  left 0:\d\d:\d\d",
        first,
    )
    assert second == "by the way"


def test_missing_fields_are_left_out():
    out = io.StringIO()
    with Progress(total=10, file=out) as progress:
        progress.log({"step": 5, "steps_per_second": 2.0, "critic_loss": 0.5})
    assert out.getvalue().startswith("step 5/10  critic 0.5  2 it/s")


@pytest.mark.parametrize("method", ["log", "advance"])
def test_terminal_shows_a_bar(method, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    out = Terminal()
    with Progress(total=1000, file=out) as progress:
        progress.advance(250) if method == "advance" else progress.log(RECORD)
    text = out.getvalue()
    assert ("250/1000" if method == "advance" else "500/1000") in text
    assert ("σ 1.02" in text) == (method == "log")


def test_counting_says_nothing_about_short_work_and_shows_long(monkeypatch):
    out = io.StringIO()
    with counting("decoding", file=out) as progress:
        progress(1, 10)
    assert out.getvalue() == ""
    monkeypatch.setattr("sngan.utils.progress._PLAIN_SECONDS", -1.0)
    with counting("decoding", file=out) as progress:
        progress(3, 10)
    assert out.getvalue() == "decoding 3/10\n"
    out = Terminal()
    with counting("decoding", file=out) as progress:
        progress(7, 10)
    assert "decoding" in out.getvalue()
    assert "7/10" in out.getvalue()
