"""A run on two ranks that begins with other weights and a frozen block is that of one process."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers import tiny_run
from helpers.ranks import on_ranks
from sngan import Config, data
from sngan import config as configs
from sngan.config import PerformanceConfig
from sngan.distributed import fsdp
from sngan.engine import TrainState, train_step
from sngan.engine import train as training
from sngan.engine.worker import train_on_rank
from sngan.runs import checkpoint

pytestmark = pytest.mark.slow


def trained(fabric, folder: Path, strategy: str) -> None:
    """Train three steps in float64, and write the whole weights of both networks."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        source, devices = str(folder / "pictures.npz"), 1 if fabric is None else 2
        config = tiny_run.config_of(folder, source, init=str(folder / "run"), freeze_critic=1)
        performance = PerformanceConfig(device="cpu", devices=devices, strategy=strategy)
        config = replace(config, performance=performance)
        state = TrainState.build(config, data.open_source(source), fabric)
        for _ in range(3):
            train_step(config, state)
        found = {
            name: dict(fsdp.unsharded(getattr(state, name).module).state_dict())
            for name in ("generator", "critic", "average")
        }
        name = "alone" if fabric is None else f"{strategy}{fabric.global_rank}"
        torch.save(found, folder / f"{name}.pt")
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    source = tiny_run.pictures(folder / "pictures.npz")
    training.train(tiny_run.config_of(folder / "run", source))
    trained(None, folder, "auto")
    return folder


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_begin_with_the_same_weights(folder, strategy):
    settings = PerformanceConfig(device="cpu", devices=2, strategy=strategy)
    on_ranks(settings, trained, folder, strategy)
    names = ("alone", f"{strategy}0", f"{strategy}1")
    alone, zero, one = (torch.load(folder / f"{name}.pt") for name in names)
    assert tiny_run.same(zero, one)
    for network, tensors in alone.items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(zero[network][name], tensor, rtol=1e-5, atol=1e-7)


def budgeted(fabric, folder: Path, strategy: str) -> None:
    """Train for some seconds, which both ranks divide into the same number of steps."""
    torch.set_num_threads(1)
    given = vars(tiny_run.config_of(folder / strategy, str(folder / "pictures.npz")))
    performance = PerformanceConfig(device="cpu", devices=2, strategy=strategy)
    fields = {key: given[key] for key in vars(Config()) if key in given}
    fields |= {"steps": Config().steps, "hours": 0.0005, "performance": performance}
    train_on_rank(fabric, Config(**fields), False, False, False, None)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_agree_on_the_steps_of_some_hours(folder, strategy):
    settings = PerformanceConfig(device="cpu", devices=2, strategy=strategy)
    on_ranks(settings, budgeted, folder, strategy)
    saved = configs.load(folder / strategy / "config.yaml")
    assert saved.hours is None
    assert checkpoint.read(folder / strategy / "checkpoints" / "last.pt")["step"] == saved.steps
    assert 0 < saved.steps < 10_000
