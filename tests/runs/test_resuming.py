"""Which checkpoint a run goes on from, and what it notices: content, settings, data, records."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from helpers import tiny_run
from helpers.checkpoints import flip
from helpers.pictures import photo
from sngan import data, load
from sngan.cli import main
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.records import Recorder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_run.pictures(tmp_path_factory.mktemp("data") / "pictures.npz")


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    training.train(tiny_run.config_of(run, source))
    return run


@pytest.fixture
def run(whole, tmp_path):
    """A copy of the finished run, which can go on for a step more."""
    return tiny_run.Path(shutil.copytree(whole, tmp_path / "run"))


def last(run):
    return run / "checkpoints" / "last.pt"


def without(*keys):
    def change(state):
        *path, key = keys
        for one in path:
            state = state[one]
        del state[key]

    return change


def with_value(value, *keys):
    def change(state):
        *path, key = keys
        for one in path:
            state = state[one]
        state[key] = value

    return change


WRONG = {
    "no rng": without("rng"),
    "no torch rng": without("rng", "torch"),
    "a short rng": with_value(torch.zeros(3, dtype=torch.uint8), "rng", "torch"),
    "a python rng of text": with_value("x", "rng", "python"),
    "a step of text": with_value("4", "step"),
    "a negative step": with_value(-1, "step"),
    "a step that is true": with_value(True, "step"),
    "a position far away": with_value(10**9, "sampler", "position"),
    "a negative position": with_value(-1, "sampler", "position"),
    "a position of text": with_value("0", "sampler", "position"),
    "an epoch of text": with_value("0", "sampler", "epoch"),
    "no critic": without("critic"),
    "a critic of a list": with_value([], "critic"),
    "a critic without its weights": with_value({}, "critic"),
    "no average": without("average"),
    "no spectral norm": without("spectral_norm"),
    "norms of other layers": with_value({}, "spectral_norm", "layers"),
    "an optimizer without groups": with_value([], "critic_optimizer", "param_groups"),
    "an optimizer of text": with_value("x", "generator_optimizer"),
    "a moment of another shape": with_value(
        torch.zeros(3), "critic_optimizer", "state", 0, "exp_avg"
    ),
    "a moment of nobody": with_value({"exp_avg": torch.zeros(3)}, "critic_optimizer", "state", 99),
    "samples of text": with_value("16", "samples"),
    "no seconds": without("seconds"),
    "endless seconds": with_value(float("inf"), "seconds"),
    "data of text": with_value("x", "data"),
}


@pytest.mark.parametrize("case", WRONG)
def test_content_of_a_wrong_kind_is_passed_over(run, whole, source, case, caplog):
    found = checkpoint.find_newest(run / "checkpoints")
    WRONG[case](found.state)
    checkpoint.write(found.state, last(run), settings=found.settings)
    training.train(tiny_run.config_of(run, source), resume=True)
    assert "passed over a checkpoint: " in caplog.text
    assert tiny_run.differences(run, whole) == []


@pytest.mark.parametrize("names", [["last.pt"], ["last.pt", "previous.pt"]])
def test_a_damaged_checkpoint_does_not_replace_a_whole_one(run, whole, source, names, caplog):
    for name in names:
        path = run / "checkpoints" / name
        flip(path, 4 * path.stat().st_size)
    training.train(tiny_run.config_of(run, source), resume=True)
    assert caplog.text.count("passed over a checkpoint: ") == len(names)
    assert checkpoint.find_newest(run / "checkpoints").problems == []
    training.train(tiny_run.config_of(run, source, steps=6), resume=True)
    for name, step in (("last.pt", 6), ("previous.pt", 5)):
        assert checkpoint.read(run / "checkpoints" / name)["step"] == step


@pytest.mark.parametrize(
    ("line", "edited", "named"),
    [
        ("seed: 0", "seed: 1", "seed: 0 → 1"),
        ("  lr: 0.0002", "  lr: 0.1", "method.lr: 0.0002 → 0.1"),
        ("  spectral_norm: matrix", "  spectral_norm: operator", "method.spectral_norm: 'matrix'"),
        ("schedule: constant", "schedule: linear", "schedule: 'constant' → 'linear'"),
    ],
)
def test_edited_settings_are_named(run, line, edited, named, capsys):
    path = run / "config.yaml"
    text = path.read_text().replace(str(run.parent.parent), str(run.parent.parent))
    assert f"{line}\n" in text
    path.write_text(text.replace(f"{line}\n", f"{edited}\n"))
    assert main(["train", "--resume", "--out", str(run)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sngan: error: --resume: expected the run's own settings, got {named}")
    assert error.count("\n") == 1


def test_replaced_data_is_named(run, source, tmp_path):
    other = tiny_run.pictures(tmp_path / "pictures.npz", seed=1)
    found = checkpoint.find_newest(run / "checkpoints")
    shutil.copy(source, tmp_path / "kept.npz")
    shutil.copy(other, source)
    try:
        with pytest.raises(
            ValueError, match=r"^data: expected the data .* got other data by .*content"
        ):
            training.train(tiny_run.config_of(run, source), resume=True)
    finally:
        shutil.copy(tmp_path / "kept.npz", source)
    assert found.state["data"] == data.open_source(source).fingerprint()


def test_a_checkpoint_without_settings_or_data_goes_on(run, whole, source):
    """As earlier versions wrote it, without checksums either."""
    for path in (run / "checkpoints").glob("*.pt"):
        state = checkpoint.read(path)
        del state["data"]
        torch.save(state, path)
    training.train(tiny_run.config_of(run, source, steps=5), resume=True)
    assert checkpoint.read(last(run))["step"] == 5


def test_the_generator_is_made_again(run, whole):
    path = run / "generator.safetensors"
    flip(path, 8 * path.stat().st_size - 9)
    expected = load(whole).generate(4)
    assert torch.equal(load(run).generate(4), expected)
    path.unlink()
    assert torch.equal(load(run).generate(4), expected)


def test_a_critic_comes_from_the_newest_that_fits(run, caplog):
    state = checkpoint.read(last(run))
    expected = checkpoint.read(run / "checkpoints" / "previous.pt")["critic"]
    state["critic"] = {}
    checkpoint.write(state, last(run))
    got = load_critic(run).state_dict()
    assert all(torch.equal(got[name], value) for name, value in expected.items())
    assert "checkpoint: expected one of this run, got " in caplog.text


def test_a_checkpoint_of_an_older_version_between_its_renames(run, whole, source):
    last(run).rename(run / "checkpoints" / "next.pt")
    # it listed this name when it began
    with (run / ".sngan" / "files.jsonl").open("a") as file:
        file.write('\n"checkpoints/next.pt"')
    training.train(tiny_run.config_of(run, source), resume=True)
    assert tiny_run.differences(run, whole) == []


def test_missing_records_are_counted(run, source, caplog):
    path = run / "metrics.jsonl"
    lines = [x for x in path.read_text().splitlines() if json.loads(x)["step"] not in (2, 3)]
    path.write_text(
        "".join(f"{line}\n" for line in [*lines, "[1, 2]", "not a record", '{"step": "x"}'])
    )
    training.train(tiny_run.config_of(run, source), resume=True)
    assert "2 of the 4 records up to step 4 are missing" in caplog.text
    assert "passed over 3 lines that are no records" in caplog.text


def test_no_record_is_called_missing_if_the_run_logs_at_other_steps(source, tmp_path, caplog):
    config = tiny_run.config_of(tmp_path / "run", source, log_every=2)
    training.train(config)
    training.train(replace(config, log_every=1, steps=5), resume=True)
    assert "missing" not in caplog.text


@pytest.mark.parametrize(
    ("steps", "is_said"),
    [
        ([10, 20, 40], True),
        # the first record of a process comes early
        ([1, 10, 20, 40], True),
        # logged by time
        ([1, 3, 7, 19, 33, 40], False),
        ([10, 20, 30, 40], False),
        # logged less often before
        ([30, 40], False),
    ],
)
def test_records_by_time_are_not_counted_by_steps(tmp_path, caplog, steps, is_said):
    lines = [json.dumps({"step": step}) for step in steps]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    with Recorder(tmp_path, start=40, every=10):
        pass
    assert ("1 of the 4 records up to step 40 is missing" in caplog.text) == is_said


def test_records_are_replaced_and_never_rewritten_in_place(run, source):
    path = run / "metrics.jsonl"
    held = path.open()
    before = path.read_text()
    with path.open("a") as file:
        file.write('{"step": 99}\n{"step": 5, "cut off')
    training.train(tiny_run.config_of(run, source), resume=True)
    assert path.read_text() == before
    assert held.read().startswith(before)
    held.close()


def test_a_resumed_run_does_not_repeat_how_its_data_is_read(tmp_path, caplog):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        photo(number, (8, 16)).save(photos / f"{number}.png")
    (photos / "broken.png").write_bytes(b"no image")
    said = []
    for steps, options in ((1, {}), (2, {"resume": True})):
        training.train(tiny_run.config_of(tmp_path / "run", str(photos), steps=steps), **options)
        said.append(caplog.text)
        caplog.clear()
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("broken.png") == 1
    assert log.count("step 1 of 2") == 1
    for words in ("the crop to", "skipped 1 file"):
        assert (words in said[0], words in said[1]) == (True, False)
    # with other data, the lines are needed again
    (photos / "worse.png").write_bytes(b"no image either")
    changed = tiny_run.config_of(tmp_path / "run", str(photos), steps=3)
    training.train(changed, resume=True, changed=True)
    assert "the crop to" in caplog.text
    log = (tmp_path / "run" / "train.log").read_text()
    assert (log.count("broken.png"), log.count("worse.png")) == (1, 1)
