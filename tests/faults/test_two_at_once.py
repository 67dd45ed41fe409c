"""Two commands in one folder at the same time: one trains, the other is refused or reads."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter

import pytest

import sngan
from helpers.folders import SMALL

PAIRS = int(os.environ.get("SNGAN_PAIRS", "20"))
KINDS = ("new", "resume", "overwrite", "report", "generate")


def command(kind, folder, seed):
    train = ["train", "--out", str(folder), "--steps", "8", *SMALL, f"seed={seed}"]
    return {
        "new": train,
        "resume": ["train", "--out", str(folder), "--resume", "--steps", "8"],
        "overwrite": [*train, "--overwrite"],
        "report": ["report", str(folder)],
        "generate": ["generate", str(folder), "--n", "4", "--out", f"{folder}-{seed}.png"],
    }[kind]


def start(arguments):
    code = "import sys; from sngan.cli import main; sys.stdin.read(1); sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def both_at_once(first, second):
    processes = [start(first), start(second)]
    for process in processes:
        process.stdin.write("x")
        process.stdin.flush()
    said = [process.communicate(timeout=300)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def check(folder, results):
    """One line for the one that was refused; a folder that holds one whole run."""
    for status, said in results:
        assert status in (0, 2), said
        lines = [line for line in said.splitlines() if line.startswith("sngan: error: ")]
        assert len(lines) == (status == 2), said
        assert "Traceback" not in said
    run = sngan.load(folder)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) == run.config.steps
    assert run.generate(2).isfinite().all()
    assert not (folder / ".sngan" / "lock").exists()
    assert not (folder / ".sngan" / "replaced").exists()


def tried(folder, generator, made):
    first, second = generator.choice(KINDS[:3]), generator.choice(KINDS)
    if "new" not in (first, second) or generator.random() < 0.5:
        shutil.copytree(made, folder)
    results = both_at_once(command(first, folder, 1), command(second, folder, 2))
    if (folder / "config.yaml").exists():
        check(folder, results)
    return f"{first} and {second}: {sorted(status for status, _ in results)}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from sngan.cli import main

    folder = tmp_path_factory.mktemp("made") / "run"
    assert main(command("new", folder, 0)) == 0
    return folder


def test_two_new_runs_in_one_folder(tmp_path):
    results = both_at_once(command("new", tmp_path / "a", 1), command("new", tmp_path / "a", 2))
    assert sorted(status for status, _ in results) == [0, 2]
    check(tmp_path / "a", results)
    seed = 1 if results[0][0] == 0 else 2
    assert sngan.load(tmp_path / "a").config.seed == seed


@pytest.mark.slow
def test_pairs_of_commands(made, tmp_path):
    generator, counts = random.Random(0), Counter()
    for number in range(PAIRS):
        counts[tried(tmp_path / str(number), generator, made)] += 1
    print(f"{PAIRS} pairs at once, 0 lost, 0 mixed:", dict(counts))
