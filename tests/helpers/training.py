"""Tiny trainings, and the state and records they end with."""

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.commands import Command
from sngan import METHODS, Config, Method, data
from sngan.config import DataConfig, ModelConfig
from sngan.engine import TrainState
from sngan.runs import checkpoint
from sngan.utils.families import by_family

TIMES = ("seconds", "cpu_seconds", "steps_per_second", "evaluation_seconds")


TINY = ModelConfig(name="auto", width=0.25, latent_dim=8)


BY_CLASS = replace(TINY, conditional=True)


AUGMENTED = DataConfig(source="digits", augment="color,translation,cutout")


def tiny(out: Path, *, method: str | Method = "sn", **settings) -> Config:
    """Return the settings of a short run; a method by name has at most two critic steps."""
    if isinstance(method, str):
        few = min(METHODS[method].n_critic, 2)
        method = replace(METHODS[method], n_critic=by_family(few, points=1))
    fields = {"data": "digits", "model": TINY, "batch_size": 8, "steps": 40}
    every = {"log_every": 5, "sample_every": 20, "save_every": 10}
    return Config(out=str(out), method=method, **{**fields, **every, **settings})


def build(config: Config) -> TrainState:
    dataset = data.open_source(config.data.source)
    return TrainState.build(config, dataset)


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def final_state(run: Path) -> dict:
    state = checkpoint.read(run / "checkpoints" / "last.pt")
    del state["seconds"]
    return state


def assert_identical(left, right, path="state"):
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_identical(left[key], right[key], f"{path}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_identical(one, other, f"{path}.{index}")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    else:
        assert left == right, path


def timeless(records: list[dict]) -> list[dict]:
    return [{k: v for k, v in record.items() if k not in TIMES} for record in records]


SETTINGS = [
    "width=0.25",
    "latent_dim=8",
    "batch_size=8",
    "n_critic=1",
    "log_every=50",
    "save_every=10",
]


def start(out: Path, *flags: str) -> Command:
    return Command("train", "--out", str(out), *flags, "--set", *SETTINGS)


def wait_for_step(run: Path, step: int, process: subprocess.Popen | Command) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        try:
            if checkpoint.read_newest(run / "checkpoints")[0]["step"] >= step:
                return
        except (ValueError, FileNotFoundError):
            continue
    raise AssertionError(f"step {step} not reached: {process.communicate()}")


class NoWaiting(TorchDispatchMode):
    """Fails where a tensor's value is read on the host; ``on_host`` are known to be there."""

    def __init__(self, on_host: list[torch.Tensor]) -> None:
        super().__init__()
        self.on_host = {tensor.data_ptr() for tensor in on_host}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        reads = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")
        if function.overloadpacket.__name__ in reads:
            assert args[0].data_ptr() in self.on_host, function
        return function(*args, **(kwargs or {}))
