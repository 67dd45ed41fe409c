"""Robust classifiers of Fashion-MNIST: training for a number of CPU seconds, and certificates.

All networks are 784-256-256-10 with sorted pairs, and get the same loss, batches, optimizer and CPU
seconds; the step size falls to 0 at the end of the budget as a cosine. torchlip's last layer is the
one of its example, with rows of norm 1. A sample is certified at radius ε if for each other class
the margin is above ε times ``‖w_y − w_k‖`` times the proved norms of the layers before; the
certificate is the same function for both. The state is saved on the way, so a stopped run goes on.
``benchmarks/results/certified.py`` makes the records of it.
"""

import gzip
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sngan import losses
from sngan.lipschitz import blocks, lipschitz_bounds

DATA = Path("/usr/share/datasets/fashion-mnist")
SIZES = (784, 256, 256, 10)
BATCH, STEP_SIZE, WARM_UP, SAVE_EVERY = 256, 2e-3, 100, 100
RADII = (0.25, 0.5, 1.0)
HELD_OUT = 10_000
Samples = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Job:
    """A training: the loss with its options, and the CPU seconds."""

    loss: str
    options: dict[str, float]
    budget: float


@dataclass(frozen=True)
class Spent:
    """The cost of a training so far."""

    steps: int = 0
    seconds: float = 0.0


def read_idx(path: Path) -> Tensor:
    content = gzip.decompress(path.read_bytes())
    dims = content[3]
    shape = np.frombuffer(content, ">i4", dims, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims)
    return torch.from_numpy(values.reshape(shape).copy())


def samples(part: str) -> Samples:
    images = read_idx(DATA / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(DATA / f"{part}-labels-idx1-ubyte.gz")
    return images.flatten(1).float() / 255, labels.long()


def splits(*, held_out: bool) -> tuple[Samples, Samples]:
    """The samples to train on, and those to measure on: the test set, or a part of the others."""
    images, labels = samples("train")
    if not held_out:
        return (images, labels), samples("t10k")
    cut = len(images) - HELD_OUT
    return (images[:cut], labels[:cut]), (images[cut:], labels[cut:])


def ours() -> nn.Sequential:
    layers: list[nn.Module] = []
    for sizes in pairwise(SIZES):
        layers += [blocks.orthogonal_linear(*sizes), blocks.MaxMin()]
    return nn.Sequential(*layers[:-1])


def torchlips() -> nn.Sequential:
    from deel import torchlip  # pyright: ignore[reportMissingImports]

    layers: list[nn.Module] = []
    for sizes in list(pairwise(SIZES))[:-1]:
        layers += [torchlip.SpectralLinear(*sizes), torchlip.GroupSort2()]
    return nn.Sequential(*layers, torchlip.FrobeniusLinear(*SIZES[-2:]))


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {"sngan": ours, "deel-torchlip": torchlips}


def train(network: nn.Module, data: Samples, job: Job, path: Path) -> Spent:
    """Train until the budget is spent."""
    images, labels = data
    optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
    spent = _loaded(network, optimizer, path)
    network.train()
    before = time.process_time()
    while spent.seconds < job.budget:
        chosen = torch.randint(len(images), (BATCH,), generator=_generator(spent.steps))
        optimizer.param_groups[0]["lr"] = _step_size(spent, job.budget)
        loss = getattr(losses, job.loss)(network(images[chosen]), labels[chosen], **job.options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        now = time.process_time()
        before, spent = now, Spent(spent.steps + 1, spent.seconds + now - before)
        if spent.steps % SAVE_EVERY == 0 or spent.seconds >= job.budget:
            _save(network, optimizer, spent, path)
    return spent


def _step_size(spent: Spent, budget: float) -> float:
    falling = (1 + math.cos(math.pi * spent.seconds / budget)) / 2
    return STEP_SIZE * falling * min(1.0, (spent.steps + 1) / WARM_UP)


def _generator(step: int) -> torch.Generator:
    """The random numbers of a step, the same for both networks and after a stop."""
    return torch.Generator().manual_seed(step)


def _loaded(network: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> Spent:
    if not path.exists():
        return Spent()
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return Spent(state["steps"], state["seconds"])


def _save(network: nn.Module, optimizer: torch.optim.Optimizer, spent: Spent, path: Path) -> None:
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "steps": spent.steps, "seconds": spent.seconds}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def plain(network: nn.Sequential) -> nn.Sequential:
    """The same function in float64 of layers of torch and sngan, with the weights as numbers."""
    layers: list[nn.Module] = []
    with torch.no_grad():
        for layer in network.eval():
            if isinstance(layer, nn.Linear):
                copied = nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64)
                copied.weight.copy_(layer.weight)
                copied.bias.copy_(layer.bias)
                layers += [copied, blocks.MaxMin()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def evaluated(network: nn.Sequential, data: Samples) -> dict[str, Any]:
    """Accuracy, certified accuracy at each radius, and the proved constant of all but the last."""
    images, labels = data
    exact = plain(network)
    logits = exact(images.double())
    # the plain network must be the one that was trained
    torch.testing.assert_close(network(images).double(), logits, atol=1e-3, rtol=0)
    before = lipschitz_bounds(exact[:-1], SIZES[:1], slopes="product", lower=False).upper
    rows: Tensor = exact[-1].weight  # pyright: ignore[reportAssignmentType]
    constants = before * torch.cdist(rows, rows)[labels]
    margins = logits.gather(1, labels[:, None]) - logits
    own = torch.arange(SIZES[-1]) == labels[:, None]
    radii = (margins / constants).masked_fill(own, math.inf).amin(1)
    certified = {str(radius): float((radii > radius).double().mean()) for radius in RADII}
    return {
        "accuracy": float((radii > 0).double().mean()),
        "certified": certified,
        "constant": before,
    }
