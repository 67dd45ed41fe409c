"""A run folder that an earlier version wrote still loads, and a resumed run ends as it did there.

`helpers/earlier_run/` was made by the tree of commit 7f32e6c (AVX2, torch 2.13): `run` is

    sngan train --data ring8 --steps 4 --out run --set width=0.05 latent_dim=2 batch_size=8
        n_critic=1 log_every=1 sample_every=4 save_every=4 ema_start=2 performance.device=cpu

without its pictures, events and page; `expected.jsonl` are its records after
`sngan train --resume --out run --steps 8`; `expected.safetensors` holds the generator's weights
then, and `load("run").generate(4, seed=0)` before. Both trees gave the same bits on one processor;
the tolerance here leaves room for another one.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.training import metrics, timeless
from sngan import Config, load, train
from sngan import config as configs
from sngan.cli import main
from sngan.config import PerformanceConfig

EARLIER = Path(__file__).parents[1] / "helpers" / "earlier_run"
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def expected():
    return load_file(EARLIER / "expected.safetensors")


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    run = shutil.copytree(EARLIER / "run", tmp_path_factory.mktemp("runs") / "run")
    assert main(["train", "--out", str(run), "--resume", "--steps", "8"]) == 0
    return run


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_run_of_an_earlier_version_generates_its_points(expected):
    assert_close(load(EARLIER / "run").generate(4, seed=0), expected["generated"])


def test_a_resumed_run_ends_with_the_weights_of_the_earlier_version(resumed, expected):
    found = load_file(resumed / "generator.safetensors")
    assert len(found) == len(expected) - 1
    for name, weights in found.items():
        assert_close(weights, expected[f"generator.{name}"])


def test_settings_left_out_in_python_are_those_of_the_earlier_run(tmp_path, expected):
    run = shutil.copytree(EARLIER / "run", tmp_path / "run")
    on_cpu = PerformanceConfig(device="cpu")
    # these two have one default for all data; the others are left out
    train(Config(data="ring8", out=str(run), steps=8, ema_start=2, performance=on_cpu), resume=True)
    before, after = (configs.load(folder / "config.yaml") for folder in (EARLIER / "run", run))
    # the earlier version knew one initialization only
    model = replace(before.model, init="default")
    assert after == replace(before, steps=8, out=str(run), model=model)
    for name, weights in load_file(run / "generator.safetensors").items():
        assert_close(weights, expected[f"generator.{name}"])


def test_a_resumed_run_ends_with_the_records_of_the_earlier_version(resumed):
    lines = (EARLIER / "expected.jsonl").read_text().splitlines()
    found, expected = timeless(metrics(resumed)), timeless(map(json.loads, lines))
    assert len(found) == len(expected) == 8
    for record, other in zip(found, expected, strict=True):
        # figures that the earlier version did not record
        for name in record.keys() - other.keys():
            assert name in ("modes", "high_quality", "reverse_kl", "smallest_share")
            del record[name]
        # the earlier version did not measure the run's health
        record.pop("health", None)
        assert record.pop("sigma") == pytest.approx(other.pop("sigma"), rel=TOLERANCE)
        assert record == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE)
