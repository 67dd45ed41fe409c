"""Tightness of the bounds by slopes on MaxMin, residual, convolutional and published networks.

The table shows for each network the product of the constants, the bound in closed form (eclipse),
the best one (sdp), the largest slope that a search finds, and CPU seconds of the upper bounds. The
random networks of Xu, Sivaranjani 2024 (arXiv:2404.04375) are shown as ratios to the product of the
norms, with the published figures and with the exact constant, which can be computed because their
weights are ≥ 0. --data adds the trained networks in the .mat files of a folder; the repositories of
LipSDP and ECLipsE have such files.

    python -m benchmarks.slopes [--data FOLDER] [--seeds N] [--json FILE]
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.common import Table, argument_parser, timed, write_json
from sngan.lipschitz import blocks, lipschitz_bounds

Network = tuple[nn.Module, tuple[int, ...]]

DEPTHS = (2, 5, 10, 20, 30, 50, 100)
ECLIPSE_FAST = {2: 0.92, 5: 0.905, 10: 0.915, 20: 0.88, 30: 0.865, 50: 0.825, 100: 0.75}
ECLIPSE = {2: 0.84, 5: 0.81, 10: 0.83, 20: 0.765, 30: 0.74, 50: 0.67, 100: 0.555}
SCALES = (0.3, 1.0, 3.0, 10.0, 30.0)

TABLE = Table(
    "network",
    42,
    [
        *((name, "10.5g") for name in ("product", "eclipse", "sdp", "found")),
        *((name, "11.3f") for name in ("sdp/found", "sdp/product")),
        *((name, "10.2f") for name in ("product s", "eclipse s", "sdp s")),
    ],
)
RANDOM_TABLE = Table(
    "layers",
    8,
    [
        *((name, "11.4f") for name in ("truth", "Fast, publ.", "eclipse", "ECLipsE", "sdp")),
        *((name, "10.2f") for name in ("eclipse s", "sdp s")),
    ],
)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def between(make: Callable[[], nn.Module], *, width: int = 32) -> Network:
    """8-32-32-1 with two layers of ``make``."""
    layers = [nn.Linear(8, width), make(), nn.Linear(width, width), make(), nn.Linear(width, 1)]
    return nn.Sequential(*layers), (8,)


def residual() -> Network:
    return nn.Sequential(nn.Linear(8, 32), Residual(32), Residual(32), nn.Linear(32, 1)), (8,)


def critic(channels: int, *widths: int, slope: float = 0.2) -> Network:
    """A critic of 8×8 images: convolutions of 4×4 and stride 2, then a linear layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((channels, *widths)):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(slope)]
    size = 8 // 2 ** len(widths)
    layers += [nn.Flatten(), nn.Linear(widths[-1] * size**2, 1)]
    return nn.Sequential(*layers), (channels, 8, 8)


NETWORKS: dict[str, Callable[[], Network]] = {
    "8-32-32-1 ReLU": lambda: between(nn.ReLU),
    "8-32-32-1 MaxMin": lambda: between(blocks.MaxMin),
    "8-32-32-1 GroupSort(4)": lambda: between(lambda: blocks.GroupSort(4)),
    "8-32, 2 residual blocks, 32-1": residual,
    "critic 1×8×8, channels 8, 16": lambda: critic(1, 8, 16),
    "critic 3×8×8, channels 16, 32": lambda: critic(3, 16, 32),
    "critic 3×8×8, channels 16, 32, 64, ReLU": lambda: critic(3, 16, 32, 64, slope=0.0),
}


@dataclass
class Row:
    """The bounds of one network, the largest slope found, and CPU seconds."""

    product: float
    eclipse: float
    sdp: float
    found: float
    product_s: float
    eclipse_s: float
    sdp_s: float


def measured(network: nn.Module, shape: tuple[int, ...], *, found: float) -> Row:
    values: list[float] = []
    seconds: list[float] = []
    for slopes in ("product", "eclipse", "sdp"):
        bound = partial(lipschitz_bounds, network, shape, slopes=slopes, samples=1, rounds=0)
        bounds, taken = timed(bound)
        values.append(bounds.upper)
        seconds.append(taken.cpu)
    return Row(*values, found, *seconds)


def steepest(network: nn.Module, shape: tuple[int, ...], *, points: int = 20_000) -> float:
    """The largest slope: the library's search, and gradients at random points of many sizes."""
    found = lipschitz_bounds(network, shape, slopes="product", samples=512, rounds=40).lower
    network = network.double()
    with torch.no_grad():
        is_scalar = network(torch.zeros(1, *shape).double()).numel() == 1
    for scale in SCALES if is_scalar else ():
        for _ in range(10):
            x = (scale * torch.randn(points // 10, *shape).double()).requires_grad_()
            (gradient,) = torch.autograd.grad(network(x).sum(), x)
            found = max(found, float(gradient.flatten(1).norm(dim=1).max()))
    return found


def dense(weights: Sequence[torch.Tensor]) -> Network:
    layers: list[nn.Module] = []
    for weight in weights:
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
        linear.weight = nn.Parameter(weight)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1]), (weights[0].shape[1],)


def published_random(depth: int, *, width: int = 80, draw: int = 0) -> list[torch.Tensor]:
    """The weights of Xu, Sivaranjani's random networks: entries ≥ 0, norms in [0.4, 1.8]."""
    random = np.random.RandomState(draw * 77 + width * 7 + depth * 13)
    sizes = [4, *[width] * (depth - 1), 1]
    weights: list[torch.Tensor] = []
    for inputs, outputs in pairwise(sizes):
        size = random.uniform(0.4, 1.8)
        weight = random.rand(outputs, inputs)
        weights.append(torch.from_numpy(size * weight / np.linalg.norm(weight, 2)))
        random.rand(outputs)  # the bias
    return weights


def product_of(weights: Sequence[torch.Tensor]) -> float:
    """``‖∏ W‖``, the exact Lipschitz constant for weights ≥ 0."""
    return float(torch.linalg.matrix_norm(torch.linalg.multi_dot(weights[::-1]), 2))


def loaded(path: Path) -> list[torch.Tensor]:
    from scipy.io import loadmat

    return [torch.from_numpy(w.astype(float)) for w in loadmat(path)["weights"].ravel()]


def printed(name: str, row: Row) -> Row:
    """Print the line of a network at once, because the whole table takes minutes."""
    bounds = (row.product, row.eclipse, row.sdp, row.found)
    ratios = (row.sdp / row.found, row.sdp / row.product)
    times = (row.product_s, row.eclipse_s, row.sdp_s)
    print(TABLE.line(name, *bounds, *ratios, *times), flush=True)
    return row


def printed_ratios(depth: int, row: Row) -> Row:
    ratios = [value / row.product for value in (row.found, row.eclipse, row.sdp)]
    cells = (ratios[0], ECLIPSE_FAST[depth], ratios[1], ECLIPSE[depth], ratios[2])
    print(RANDOM_TABLE.line(str(depth), *cells, row.eclipse_s, row.sdp_s), flush=True)
    return row


def main() -> None:
    parser = argument_parser(__doc__, "slopes")
    parser.add_argument("--data", type=Path, help="folder of .mat files with a cell 'weights'")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    # small matrices: threads would cost more than they give
    torch.set_num_threads(1)
    print(TABLE.head())
    networks: dict[str, Callable[[], Network]] = dict(NETWORKS)
    for path in sorted(arguments.data.glob("*.mat")) if arguments.data else []:
        networks[path.stem] = lambda path=path: dense(loaded(path))
    rows: dict[str, Row] = {}
    for name, make in networks.items():
        for seed in range(arguments.seeds if name in NETWORKS else 1):
            torch.manual_seed(seed)
            network, shape = make()
            row = measured(network, shape, found=steepest(network, shape))
            rows[f"{name} #{seed}"] = printed(name, row)
    print("\nrandom networks 4-80-…-80-1 with weights ≥ 0, as ratios to the product of the norms")
    print(RANDOM_TABLE.head())
    random: dict[int, Row] = {}
    for depth in DEPTHS:
        weights = published_random(depth)
        row = measured(*dense(weights), found=product_of(weights))
        random[depth] = printed_ratios(depth, row)
    results = {"networks": rows, "random": random}
    data = {part: {str(k): asdict(row) for k, row in of.items()} for part, of in results.items()}
    write_json(data, arguments.json)


if __name__ == "__main__":
    main()
