"""Two processes train what one does: same results, equal replicas, one writer, faults."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import assert_identical, final_state, metrics, tiny, wait_for_step

from sngan import METHODS, Config, data, launching, training
from sngan.config import DataConfig, ModelConfig, PerformanceConfig
from sngan.state import State

TWO = PerformanceConfig(device="cpu", devices=2)
DIGITS = DataConfig(source="digits", flip=True)
AUGMENTED = DataConfig(source="digits", augment="color,translation,cutout")
CNN = ModelConfig(name="cnn", width=0.1, latent_dim=8)
RESNET = replace(CNN, name="resnet", width=0.05)

# all that draws random numbers or looks at a batch as a whole
CASES = {
    "sn-cnn": {"method": "sn", "model": CNN},
    "sn-resnet": {"method": "sn", "model": RESNET},
    "wgan-gp-cnn": {"method": "wgan-gp", "model": CNN},
    "wgan-gp-resnet": {"method": "wgan-gp", "model": RESNET},
    "dragan": {"method": "dragan", "model": CNN},
    "r3gan-by-class-augmented": {
        "method": "r3gan",
        "model": replace(CNN, conditional=True),
        "data": AUGMENTED,
    },
    "bn": {"method": "bn", "model": CNN},
    "sn-operator": {"method": "sn-operator", "model": CNN},
}
STEPS = 50


def config_of(case: str) -> Config:
    fields = {"data": DIGITS, "batch_size": 8, **CASES[case]}
    method = replace(METHODS[fields.pop("method")], n_critic=2)
    return Config(out="unused", method=method, steps=STEPS, ema_start=10, **fields)


def trained(config: Config, fabric=None, *, steps: int = STEPS) -> tuple[list[dict], State]:
    """The terms of every step and the state after them, without a folder."""
    dataset = data.open_source(config.data.source)
    state = State.build(training._fill_in(config, dataset), dataset, fabric)
    return [
        training._to_floats(training._step(config, state), over_ranks=True) for _ in range(steps)
    ], state


def in_double(case: str, fabric=None) -> tuple[list[dict], dict]:
    """Trained in float64, where other orders of summing do not grow into other results."""
    torch.set_default_dtype(torch.float64)
    try:
        terms, state = trained(config_of(case), fabric)
        return terms, state.state_dict()
    finally:
        torch.set_default_dtype(torch.float32)


def all_cases(fabric, folder: Path) -> None:
    """What each of two processes does: train every case in float64, and one in float32."""
    torch.set_num_threads(1)
    results = {case: in_double(case, fabric) for case in CASES}
    terms, state = trained(config_of("sn-cnn"), fabric, steps=100)
    results["float32"] = (terms, state.state_dict())
    torch.save(results, folder / f"rank{fabric.global_rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    launching.on_ranks(TWO, all_cases, folder)
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", [*CASES, "float32"])
def test_replicas_are_bit_identical(ranks, case):
    assert_identical(ranks[0][case], ranks[1][case])


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_what_one_process_does(ranks, case):
    expected, alone = in_double(case)
    terms, state = ranks[0][case]
    for step, (one, other) in enumerate(zip(terms, expected, strict=True)):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9), step
    for network in ("generator", "critic", "average"):
        for name, tensor in alone[network].items():
            torch.testing.assert_close(state[network][name], tensor, rtol=1e-5, atol=1e-7)
