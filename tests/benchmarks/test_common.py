"""Timing, tables and files that the benchmarks share; each benchmark runs in a small form."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.common import (
    Seconds,
    Table,
    argument_parser,
    in_new_process,
    interleaved,
    median_ratios,
    medians,
    timed,
    write_json,
)

ROOT = Path(__file__).parents[2]
TABLE = Table("name", 6, [("a", "6.2f"), ("b", "+8.1e"), ("n", "7,")])


def test_a_table_aligns_its_columns_and_leaves_out_what_is_missing():
    assert TABLE.head() == "name        a        b       n"
    assert TABLE.line("x", 1.234, -0.5, 1000) == "x        1.23 -5.0e-01   1,000"
    assert TABLE.line("x", None, None, 1000) == "x" + " " * 24 + "1,000"
    assert TABLE.line("x", 1.0, None, None) == "x        1.00"


def test_every_job_runs_once_a_round_and_each_round_starts_with_the_next():
    order: list[str] = []
    jobs = {name: lambda name=name: order.append(name) for name in "abc"}
    taken = interleaved(jobs, rounds=3, warm_up=1)
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(times) for name, times in taken.items()} == {"a": 3, "b": 3, "c": 3}


def test_waiting_is_wall_time_only():
    result, seconds = timed(lambda: time.sleep(0.3) or "done")
    assert result == "done"
    assert seconds.wall >= 0.3
    assert seconds.cpu < 0.2


def test_medians_of_times_and_of_ratios():
    mine = [Seconds(1, 2), Seconds(3, 8), Seconds(2, 5)]
    theirs = [Seconds(1, 1), Seconds(1, 2), Seconds(4, 5)]
    assert medians(mine) == (2, 5)
    assert median_ratios(mine, theirs) == (1, 2)


def test_results_are_written_where_the_option_says(tmp_path, capsys):
    parser = argument_parser("First line.\n\nMore.", "name")
    assert parser.description == "First line."
    assert str(parser.parse_args([]).json) == "benchmarks/results/name.json"
    file = tmp_path / "folder" / "a.json"
    write_json({"a": 1.5}, parser.parse_args(["--json", str(file)]).json)
    assert json.loads(file.read_text()) == {"a": 1.5}
    assert capsys.readouterr().out == f"written: {file}\n"


@pytest.mark.slow
def test_a_new_process_has_its_own_memory():
    assert in_new_process(sum, [1, 2]) == 3


ENGINE_SIZE = "resnet 32x32 width 1/4, batch 16, n_critic 5"
SMALL = {
    "augmentation": ["--rounds", "1"],
    "data": ["--images", "64", "--rounds", "1"],
    "engine": ["--rounds", "1", "--contenders", "common", "--sizes", ENGINE_SIZE],
    "floor": ["--rounds", "1"],
    "lipschitz": ["--seeds", "1"],
    "metrics": ["--sizes", "60", "--dimensions", "8"],
    "operator_norms": ["--layers", "1→1 3×3, all ones"],
    "ranks": ["--steps", "1", "--rounds", "1"],
    "scaling": ["--rounds", "1"],
    "spectral": ["--rounds", "1", "--sizes", "mlp, batch 256"],
    "startup": ["--images", "50", "--starts", "1"],
    "streaming": ["--images", "2000"],
    "transport": ["--sizes", "300", "--large", "500"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_small_form_of_each_benchmark_runs(name, tmp_path):
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name], "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())
