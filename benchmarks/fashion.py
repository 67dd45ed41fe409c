"""Robust classifiers of Fashion-MNIST with the HKR loss, beside deel-torchlip in one script.

Both networks are 784-256-256-10 with sorted pairs, and get the same loss, batches, optimizer and
CPU seconds; the step size falls linearly to 0 at the end of the budget. torchlip's last layer is
the one of its example, with rows of norm 1. A sample is certified at radius ε if for each other
class the margin is above ε times ``‖w_y − w_k‖`` times the proved norms of the layers before. The
state is saved on the way, so a stopped run goes on, and a finished one is only evaluated.

    pip install deel-torchlip
    python -m benchmarks.fashion [--budget 600] [--only sngan] [--folder DIR] [--json FILE]
"""

import gzip
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import Table, argument_parser, write_json
from sngan import losses
from sngan.lipschitz import blocks, lipschitz_bounds

DATA = Path("/usr/share/datasets/fashion-mnist")
SIZES = (784, 256, 256, 10)
BATCH, STEP_SIZE, SAVE_EVERY = 256, 2e-3, 100
RADII = (0.25, 0.5, 1.0)
TABLE = Table(
    "network", 16, [("accuracy", "8.4f"), *((f"ε = {r}", "8.4f") for r in RADII), ("CPU s", "8.0f")]
)


@dataclass
class Row:
    """Accuracy, certified accuracy at each radius, steps and CPU seconds of the training."""

    accuracy: float
    certified: dict[str, float]
    steps: int
    seconds: float


def read_idx(path: Path) -> Tensor:
    content = gzip.decompress(path.read_bytes())
    dims = content[3]
    shape = np.frombuffer(content, ">i4", dims, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims)
    return torch.from_numpy(values.reshape(shape).copy())


def samples(part: str) -> tuple[Tensor, Tensor]:
    images = read_idx(DATA / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(DATA / f"{part}-labels-idx1-ubyte.gz")
    return images.flatten(1).float() / 255, labels.long()


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


def train(network: nn.Module, path: Path, options: Any) -> tuple[int, float]:
    """Train until the budget is spent; return the steps and the CPU seconds."""
    images, labels = samples("train")
    optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
    steps, spent = 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        steps, spent = state["steps"], state["spent"]
    network.train()
    before = time.process_time()
    while spent < options.budget:
        indices = torch.randint(len(images), (BATCH,), generator=_generator(steps))
        optimizer.param_groups[0]["lr"] = STEP_SIZE * (1 - spent / options.budget)
        logits = network(images[indices])
        loss = losses.multiclass_hkr(
            logits, labels[indices], alpha=options.alpha, margin=options.margin
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        now = time.process_time()
        before, spent = now, spent + now - before
        if steps % SAVE_EVERY == 0 or spent >= options.budget:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "steps": steps, "spent": spent}, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
    return steps, spent


def _generator(step: int) -> torch.Generator:
    """The random numbers of a step, the same for both networks and after a stop."""
    return torch.Generator().manual_seed(step)


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
def evaluated(network: nn.Sequential, steps: int, seconds: float) -> Row:
    images, labels = samples("t10k")
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
    return Row(float((radii > 0).double().mean()), certified, steps, seconds)


def main() -> None:
    parser = argument_parser(__doc__, "fashion")
    parser.add_argument("--budget", type=float, default=600.0, help="CPU seconds a network")
    parser.add_argument("--only", default="", help="train only networks with this text")
    parser.add_argument("--alpha", type=float, default=0.98)
    parser.add_argument("--margin", type=float, default=0.3)
    parser.add_argument("--folder", type=Path, default=Path("runs/fashion"), help="saved states")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(TABLE.head())
    rows: dict[str, Row] = {}
    for name, make in NETWORKS.items():
        if arguments.only in name:
            torch.manual_seed(0)
            network = make()
            row = rows[name] = evaluated(
                network, *train(network, arguments.folder / f"{name}.pt", arguments)
            )
            print(TABLE.line(name, row.accuracy, *row.certified.values(), row.seconds), flush=True)
    write_json({name: asdict(row) for name, row in rows.items()}, arguments.json)


if __name__ == "__main__":
    main()
