"""A run of a few steps on small pictures, and whether two such runs are the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sngan import Config
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.engine import train as training
from sngan.methods import named
from sngan.runs import checkpoint
from sngan.utils.files import is_temporary

STEPS = 4
_TIMES = ("seconds", "cpu_seconds", "steps_per_second", "evaluation_seconds")


def pictures(path: Path, *, seed: int = 0, count: int = 16) -> str:
    """Random grey pictures of 8 × 8 pixels as an ``.npz``; its path is a SOURCE."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1))
    np.savez(path, images=pixels.astype(np.uint8))
    return str(path)


def config_of(out: Path, source: str, **settings: object) -> Config:
    """A run that saves at every step, keeps every other checkpoint, evaluates and pictures."""
    fields = {
        "data": DataConfig(source=source),
        "model": ModelConfig(name="cnn", width=0.05, latent_dim=4),
        "method": replace(named(name="sn"), n_critic=1),
        "performance": PerformanceConfig(device="cpu"),
        "evaluation": EvaluationConfig(every=2, samples=10, extractor="pixels"),
        "batch_size": 4,
        "steps": STEPS,
        "log_every": 1,
        "sample_every": 2,
        "save_every": 1,
        "keep_every": 2,
    }
    return Config(out=str(out), **{**fields, **settings})


def differences(run: Path, other: Path) -> list[str]:
    """In what two finished runs differ, but for times; temporary files of the first as well."""
    found = [f"left behind: {path}" for path in run.rglob("*") if is_temporary(path)]
    names, expected = _names(run), _names(other)
    found += [f"other files: {sorted(names ^ expected)}"] * (names != expected)
    for name in sorted(names & expected):
        if not _same(run / name, other / name):
            found.append(f"other content: {name}")
    return found


def same(left: object, right: object) -> bool:
    """Whether nested states are equal bit for bit."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def _names(run: Path) -> set[str]:
    files = (path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    # events are one file a start, the log and the list of files have times and random names
    return {name for name in files if not name.startswith(("events", ".sngan", "train.log"))}


def _same(path: Path, other: Path) -> bool:
    if path.suffix == ".pt":
        states = [checkpoint.read(one) for one in (path, other)]
        for state in states:
            state.pop("seconds", None)
        return same(*states)
    if path.name == "metrics.jsonl":
        return _records(path) == _records(other)
    if path.name == "config.yaml":
        return _settings(path) == _settings(other)
    return path.read_bytes() == other.read_bytes()


def _settings(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("out:")]


def _records(path: Path) -> list[dict]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in _TIMES} for record in records]


def finish(out: Path, source: str) -> str:
    """Go on with a run that broke off, as a person would; say what was lost, or nothing."""
    checkpoints = out / "checkpoints"
    if not (checkpoints / "last.pt").exists():
        if any(checkpoints.glob("*.pt")):
            return "no last.pt"
        training.train(config_of(out, source))
        return ""
    problems = checkpoint.find_newest(checkpoints).problems
    training.train(config_of(out, source), resume=True)
    return "; ".join(problems)
