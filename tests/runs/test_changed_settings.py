"""Settings and data that change on a resume: the free ones, those of ``--changed``, the others."""

import random
import re
import shutil
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import tiny_run
from sngan import config as configs
from sngan.cli import main
from sngan.engine import setup
from sngan.engine import train as training
from sngan.runs import checkpoint

_FEW = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
FREE = {
    "log_every": [2, 3, "0.001s", "1h"],
    "sample_every": [1, 3, "1s"],
    "save_every": [2, 4, "0.5min"],
    "keep_every": [None, 1],
    "evaluation.every": [None, 1],
    "evaluation.samples": [12],
    "evaluation.best": ["kernel"],
    "data.workers": [1],
    "data.cache": ["memory", "disk"],
    "performance.accumulate": [1],
}
ACCEPTED = {
    "method.lr": [1e-3],
    "method.lr_critic": [4e-4],
    "method.betas": [[0.5, 0.9]],
    "method.loss": ["wasserstein"],
    "method.n_critic": [2],
    "method.penalty": ["r1"],
    "batch_size": [8],
    "seed": [7],
    "schedule": ["linear"],
    "ema_decay": [0.5],
    "data.flip": [True],
    "data.dequantize": [False],
    "data.augment": ["translation", "ada"],
}
FIXED = {
    "model.width": [0.1],
    "model.latent_dim": [6],
    "model.name": ["resnet"],
    "method.optimizer": ["sgd"],
    "method.spectral_norm": [None],
    "method.coefficient": [2.0],
}
_NETWORKS = ("generator", "critic", "average", "generator_optimizer", "critic_optimizer", "rng")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_run.pictures(tmp_path_factory.mktemp("data") / "pictures.npz")


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """A run of four steps that nobody interrupted."""
    return trained(tmp_path_factory.mktemp("runs") / "whole", source)


@pytest.fixture(scope="module")
def half(source, tmp_path_factory):
    """A run with two of its four steps done: its first steps do not depend on their number."""
    return trained(tmp_path_factory.mktemp("runs") / "half", source, steps=2)


@pytest.fixture
def run(half, tmp_path):
    return Path(shutil.copytree(half, tmp_path / "run"))


def trained(out, source, **settings):
    training.train(tiny_run.config_of(out, source, **settings))
    return out


def config_with(out, source, changes):
    """The settings of the tiny run with others under dotted keys."""
    config = tiny_run.config_of(out, source)
    for key, value in changes.items():
        group, _, name = key.rpartition(".")
        owner = getattr(config, group) if group else config
        changed = replace(owner, **{name: value})
        config = replace(config, **{group: changed}) if group else changed
    return config


def drawn(generator, *choices):
    """A pair of settings, one of each group of choices, with a value for each."""
    picked = {}
    for group in choices:
        key = generator.choice([key for key in group if key not in picked])
        picked[key] = generator.choice(group[key])
    return picked


def networks(run):
    state = checkpoint.read(run / "checkpoints" / "last.pt")
    return {key: state[key] for key in _NETWORKS}


def refuse_to_decode(monkeypatch):
    def decode(*_, **__):
        raise AssertionError("the data was decoded")

    monkeypatch.setattr(setup, "open_dataset", decode)


@pytest.mark.parametrize("seed", _FEW)
def test_free_settings_change_no_bit(run, whole, source, seed):
    changes = drawn(random.Random(seed), FREE, FREE)
    training.train(config_with(run, source, changes), resume=True)
    assert tiny_run.same(networks(run), networks(whole)), changes
    saved = configs.load(run / "config.yaml")
    assert all(attrgetter(key)(saved) == value for key, value in changes.items())


@pytest.mark.parametrize("seed", range(8))
def test_other_settings_are_refused_before_the_data_is_read(run, source, seed, monkeypatch):
    changes = drawn(random.Random(seed), ACCEPTED, FREE)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refuse_to_decode(monkeypatch)
    named = next(iter(changes))
    with pytest.raises(ValueError, match=rf"^resume: .*{re.escape(named)}: .* → .*--changed"):
        training.train(config_with(run, source, changes), resume=True)
    assert {path: path.read_bytes() for path in before if path.exists()} == before


@pytest.mark.parametrize("seed", _FEW)
def test_changed_accepts_them_and_says_so(run, source, seed, caplog):
    changes = drawn(random.Random(seed), ACCEPTED, ACCEPTED)
    training.train(config_with(run, source, changes), resume=True, changed=True)
    assert checkpoint.read(run / "checkpoints" / "last.pt")["step"] == 4
    assert "changed at step 2: " in caplog.text
    assert "not bit for bit" in caplog.text
    assert all(f"{key}: " in caplog.text for key in changes)
    # the run now has these settings, and goes on with them as usual
    training.train(replace(config_with(run, source, changes), steps=5), resume=True)


@pytest.mark.parametrize("key", FIXED)
@pytest.mark.parametrize("changed", [True, False])
def test_other_networks_are_refused_with_a_way_out(run, source, key, changed, monkeypatch):
    refuse_to_decode(monkeypatch)
    config = config_with(run, source, {key: FIXED[key][0]})
    with pytest.raises(ValueError, match=rf"^resume: .*{re.escape(key)}: .*--init RUN"):
        training.train(config, resume=True, changed=changed)


def test_changed_needs_resume(tmp_path, source):
    with pytest.raises(ValueError, match=r"^changed: expected resume"):
        training.train(tiny_run.config_of(tmp_path / "new", source), changed=True)


def photos(folder, count):
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(count)
    for index in range(count):
        path = folder / f"{index}.png"
        if not path.exists():
            Image.fromarray(pixels.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(path)
    return str(folder)


def flags(run, *more):
    small = ["--width", "0.05", "--batch_size", "4", "--n_critic", "1", "--sample_every", "1"]
    return ["train", "--out", str(run), *small, *more]


def test_a_moved_folder_goes_on_and_one_more_photo_does_not(tmp_path, capsys, monkeypatch):
    folder, run, whole = (tmp_path / name for name in ("photos", "run", "whole"))
    source = photos(folder, 12)
    assert main(flags(whole, "--data", source, "--steps", "4")) == 0
    assert main(flags(run, "--data", source, "--steps", "2")) == 0
    capsys.readouterr()
    moved = folder.rename(tmp_path / "moved")
    resume = ["train", "--out", str(run), "--resume", "--steps", "4"]
    assert main(resume) == 2
    error = capsys.readouterr().err
    assert error == (
        "sngan: error: --data: expected the run's data, or --data with its new place, "
        f"got nothing at {source}\n"
    )
    assert main([*resume, "--data", str(moved)]) == 0
    assert tiny_run.same(networks(run), networks(whole))

    photos(moved, 13)
    capsys.readouterr()
    more = ["train", "--out", str(run), "--resume", "--steps", "6"]
    with monkeypatch.context() as patch:
        patch.setattr("sngan.data.opening.decode_all", lambda *_, **__: pytest.fail("decoded"))
        assert main(more) == 2
    error = capsys.readouterr().err
    assert error.startswith("sngan: error: --data: expected the data that the run was trained on")
    assert "the number of files (12, now 13)" in error
    assert "--changed" in error
    assert error.count("\n") == 1
    assert main([*more, "--changed"]) == 0
    assert "changed at step 4: data: the number of samples (12, now 13)" in (
        (run / "train.log").read_text()
    )
    assert main([*more[:-1], "7"]) == 0


def test_changed_data_begins_with_the_first_epoch(run, tmp_path, source):
    """The position in the old order means nothing in the new one."""
    more = tiny_run.pictures(tmp_path / "more.npz", count=5)
    config = replace(
        tiny_run.config_of(run, more),
        evaluation=replace(tiny_run.config_of(run, more).evaluation, every=None),
    )
    training.train(config, resume=True, changed=True)
    assert checkpoint.read(run / "checkpoints" / "last.pt")["samples"] == 5
