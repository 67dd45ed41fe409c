"""Tightness and cost of the Lipschitz bounds of small dense networks.

The table shows for each network the product of the layers' norms, the same product with affine
chains merged, and the bound by slopes in closed form (eclipse) and optimized (sdp). All are ratios
to the largest gradient that a search finds. Networks of two inputs are also searched on a dense
grid. Times are of the upper bound alone; the search has its own column.

--growth measures cost and tightness for growing width and for growing depth of the network.

    python -m benchmarks.lipschitz [--seeds N] [--growth] [--json FILE]
"""

import math
import statistics
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from benchmarks import growth
from benchmarks.common import Table, argument_parser, timed, write_json
from sngan.lipschitz import lipschitz_bounds
from sngan.spectral import certified_norm

Network = tuple[nn.Sequential, tuple[int, ...]]


def dense(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> Network:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1]), sizes[:1]


def trained(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> Network:
    """A dense network after 500 steps of regression on a wave."""
    network, shape = dense(*sizes, activation=activation)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(500):
        x = torch.randn(128, *shape)
        loss = (network(x)[:, 0] - torch.sin(2 * x[:, 0]) * torch.cos(x[:, 1])).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network, shape


def bottleneck() -> Network:
    """Linear layers in pairs with no activation between the two."""
    layers = [nn.Linear(8, 32), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 32), nn.Linear(32, 1)]
    return nn.Sequential(*layers), (8,)


def convolutional() -> Network:
    layers = [
        nn.Conv2d(1, 4, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(4, 8, 3, padding=1),
        nn.AvgPool2d(2), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(128, 1),
    ]  # fmt: skip
    return nn.Sequential(*layers), (1, 8, 8)


NETWORKS: dict[str, Callable[[], Network]] = {
    "2-10-10-1 ReLU": lambda: dense(2, 10, 10, 1),
    "2-10-10-1 ReLU, trained": lambda: trained(2, 10, 10, 1),
    "2-32-32-32-1 leaky": lambda: dense(2, 32, 32, 32, 1, activation=lambda: nn.LeakyReLU(0.1)),
    "2-32-32-32-1 ReLU, trained": lambda: trained(2, 32, 32, 32, 1),
    "2-32-32-32-1 tanh, trained": lambda: trained(2, 32, 32, 32, 1, activation=nn.Tanh),
    "10-64-64-64-64-1 ReLU": lambda: dense(10, 64, 64, 64, 64, 1),
    "8-32-8-32-1 in linear pairs": bottleneck,
    "conv-conv-pool-dense 8×8": convolutional,
}


def plain_product(network: nn.Sequential, shape: tuple[int, ...]) -> float:
    """The product of the norms of the linear layers, one by one."""
    x, product = torch.zeros(1, *shape), 1.0
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.AvgPool2d):
            product *= certified_norm(layer, tuple(x.shape[1:]))[0]
        x = layer(x)
    return product


def on_grid(network: nn.Module, shape: tuple[int, ...]) -> float:
    """The largest gradient on 401 × 401 points of [-6, 6]², for two inputs."""
    if shape != (2,):
        return math.nan
    line = torch.linspace(-6, 6, 401)
    points = torch.cartesian_prod(line, line).requires_grad_()
    (gradient,) = torch.autograd.grad(network(points).sum(), points)
    return gradient.norm(dim=1).max().item()


def measure(network: nn.Sequential, shape: tuple[int, ...]) -> dict[str, float]:
    def upper(slopes: str) -> float:
        return lipschitz_bounds(network, shape, slopes=slopes, samples=1, rounds=0).upper

    found, search_time = timed(lambda: lipschitz_bounds(network, shape, rounds=60).lower)
    grid = on_grid(network, shape)
    truth = max(found, grid) if math.isfinite(grid) else found
    row = {"found": found, "search s": search_time.wall, "found/grid": found / grid}
    contenders: dict[str, Callable[[], float]] = {
        "plain": lambda: plain_product(network, shape),
        "product": lambda: upper("product"),
        "eclipse": lambda: upper("eclipse"),
        "sdp": lambda: upper("sdp"),
    }
    for name, contender in contenders.items():
        value, seconds = timed(contender)
        row |= {name: value / truth, f"{name} s": seconds.wall}
    return row


def table(rows: dict[str, dict[str, float]]) -> str:
    ratios = ["plain", "product", "eclipse", "sdp", "found/grid"]
    seconds = ["product s", "eclipse s", "sdp s", "search s"]
    columns = [*((name, "11.3f") for name in ratios), *((name, "11.4f") for name in seconds)]
    table = Table("network", 28, columns)
    lines = [table.line(name, *(row[c] for c, _ in columns)) for name, row in rows.items()]
    return "\n".join([table.head(), *lines])


def of_width(width: int, *, depth: int = 4) -> Network:
    """``depth`` hidden layers of ``width``, from 16 inputs to one score."""
    torch.manual_seed(0)
    return dense(16, *[width] * depth, 1)


def of_depth(depth: int) -> Network:
    return of_width(64, depth=depth)


def one_bound(size: int, *, make: Callable[[int], Network], of: str) -> Callable[[], dict]:
    network, shape = make(size)
    if of == "search":
        return lambda: {"lower": lipschitz_bounds(network, shape, slopes="product").lower}
    return lambda: {"upper": lipschitz_bounds(network, shape, slopes=of, samples=1, rounds=0).upper}


def grown() -> list[growth.Series]:
    axes = {
        "width, 4 hidden layers": (
            of_width,
            {"sdp": (16, 32, 64, 128)},
            (16, 32, 64, 128, 256, 512),
        ),
        "depth, width 64": (of_depth, {"sdp": (2, 4, 8)}, (2, 4, 8, 16)),
    }
    return [
        growth.Series(
            f"{of} against {name}", partial(one_bound, make=make, of=of), fewer.get(of, sizes)
        )
        for name, (make, fewer, sizes) in axes.items()
        for of in ("product", "eclipse", "sdp", "search")
    ]


def main() -> None:
    parser = argument_parser(__doc__, "lipschitz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    if arguments.growth:
        write_json(growth.measure(grown()), arguments.json)
        return
    # small matrices: threads would cost more than they give
    torch.set_num_threads(1)
    rows: dict[str, dict[str, float]] = {}
    for name, make in NETWORKS.items():
        runs: list[dict[str, float]] = []
        for seed in range(arguments.seeds):
            torch.manual_seed(seed)
            runs.append(measure(*make()))
        rows[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(f"bound / largest gradient found; medians over {arguments.seeds} networks")
    print(table(rows))
    finite = {
        n: {k: v if math.isfinite(v) else None for k, v in r.items()} for n, r in rows.items()
    }
    write_json(finite, arguments.json)


if __name__ == "__main__":
    main()
