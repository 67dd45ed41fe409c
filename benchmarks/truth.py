"""Lipschitz bounds over the true constant, for networks whose constant is known in closed form.

Families: ReLU networks with weights ≥ 0, where all neurons are on at once, so that the constant is
the norm of the product of the weights (the random networks of Xu, Sivaranjani 2024,
arXiv:2404.04375); chains of orthogonal layers and MaxMin, whose constant is 1; linear networks; and
ReLU networks of one variable, which are steepest on one of their finitely many pieces. Records are
kept in the JSON file, and a network that it has is not measured again.

    python -m benchmarks.truth [--only TEXT] [--json FILE] [--page docs/results/truth.md]
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks.common import Table, argument_parser, timed, versions
from benchmarks.slopes import DEPTHS, dense, product_of, published_random
from sngan.lipschitz import blocks, lipschitz_bounds

METHODS = ("product", "eclipse", "sdp")
TABLE = Table(
    "network", 40, [("truth", "10.5f"), *((m, "9.5f") for m in METHODS), ("sdp s", "8.1f")]
)
PAGE = """# Bounds over the truth

Each cell is a proved upper bound of the Lipschitz constant, divided by the true constant, so 1 is
the best value, and a value below 1 by more than rounding would be a fault. The command
`python -m benchmarks.truth --page docs/results/truth.md` measures the networks and writes it;
the program says how each truth is known. The last column has the CPU seconds of `sdp`. Versions:
{versions}.

{table}
"""


@dataclass(frozen=True)
class Known:
    """A network, the shape of its input, and its Lipschitz constant."""

    network: nn.Module
    shape: tuple[int, ...]
    truth: float


@dataclass
class Row:
    """The truth, the ratios of the three bounds to it, and CPU seconds of the bounds."""

    truth: float
    ratios: dict[str, float]
    seconds: dict[str, float]


def nonnegative(depth: int) -> Known:
    """4-80-…-80-1 with ReLU and weights ≥ 0."""
    weights = published_random(depth)
    return Known(*dense(weights), product_of(weights))


def orthogonal_chain(depth: int, *, width: int = 32) -> Known:
    """Square orthogonal layers with MaxMin: an isometry on each piece."""
    torch.manual_seed(depth)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [blocks.orthogonal_linear(width, width), blocks.MaxMin()]
    return Known(nn.Sequential(*layers[:-1]), (width,), 1.0)


def linear_chain(depth: int, *, width: int = 40) -> Known:
    """Linear layers without activations, whose norms multiply to far more than the truth."""
    torch.manual_seed(depth)
    weights = [torch.randn(width, width, dtype=torch.float64) / width**0.5 for _ in range(depth)]
    layers: list[nn.Module] = []
    for weight in weights:
        layer = nn.Linear(width, width, dtype=torch.float64)
        layer.weight = nn.Parameter(weight)
        layers.append(layer)
    return Known(nn.Sequential(*layers), (width,), product_of(weights))


def one_dimensional(hidden: int, *, seed: int = 0) -> Known:
    """1-n-1 with ReLU: the function is linear between the kinks ``−b/w`` of its neurons."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1)).double()
    with torch.no_grad():
        weight, bias = network[0].weight[:, 0], network[0].bias
        kinks = (-bias / weight).sort().values
        middles = torch.cat([kinks[:1] - 1, (kinks[1:] + kinks[:-1]) / 2, kinks[-1:] + 1])
        is_on = middles[:, None] * weight + bias > 0
        slopes = (is_on * weight * network[2].weight[0]).sum(1)
    return Known(network, (1,), float(slopes.abs().max()))


NETWORKS: Mapping[str, Callable[[], Known]] = {
    **{f"weights ≥ 0, {d} layers": partial(nonnegative, d) for d in DEPTHS},
    **{f"orthogonal and MaxMin, {d} layers": partial(orthogonal_chain, d) for d in (2, 10, 50)},
    **{f"linear, {d} layers": partial(linear_chain, d) for d in (2, 10, 50)},
    **{f"one variable, {n} neurons": partial(one_dimensional, n) for n in (2, 8, 32, 128)},
}


def measured(known: Known) -> Row:
    """The ratios of all bounds to the truth."""
    row = Row(known.truth, {}, {})
    for method in METHODS:
        job = partial(lipschitz_bounds, known.network, known.shape, slopes=method, lower=False)
        bounds, seconds = timed(job)
        row.ratios[method], row.seconds[method] = bounds.upper / known.truth, seconds.cpu
    return row


def markdown(rows: Mapping[str, Row]) -> str:
    lines = [
        "| network | truth | product | eclipse | sdp | sdp, CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        ratios = " | ".join(f"{row.ratios[method]:.4f}" for method in METHODS)
        lines.append(f"| {name} | {row.truth:.4g} | {ratios} | {row.seconds['sdp']:.1f} |")
    return "\n".join(lines)


def recorded(path: Path) -> dict[str, Row]:
    """The rows of the file, in the order of the networks; none if there is no file."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return {name: Row(**found[name]) for name in NETWORKS if name in found}


def main() -> None:
    parser = argument_parser(__doc__, "truth")
    parser.add_argument("--only", default="", help="measure only networks with this text")
    parser.add_argument("--page", type=Path, help="the Markdown page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = recorded(arguments.json)
    print(TABLE.head())
    for name, make in NETWORKS.items():
        if arguments.only in name:
            row = rows[name] = rows.get(name) or measured(make())
            ratios = (row.ratios[method] for method in METHODS)
            print(TABLE.line(name, row.truth, *ratios, row.seconds["sdp"]), flush=True)
            kept = {key: asdict(rows[key]) for key in NETWORKS if key in rows}
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(kept, indent=2) + "\n")
    if arguments.page:
        table = markdown({name: rows[name] for name in NETWORKS if name in rows})
        arguments.page.write_text(PAGE.format(versions=versions(), table=table))


if __name__ == "__main__":
    main()
