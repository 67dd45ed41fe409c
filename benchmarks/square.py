"""W1 between black and square images by a certified critic, as in deel-torchlip's first example.

Images of 64×64 are black, or have a square of 35×35 pixels that is 1 or −1. The exact distance is
35, and deel-torchlip's example finds 34.9952 in 160 Adam steps of batches of 16 with a network
4096-128-64-32-1. This script takes as many steps with such a network of ``sngan.lipschitz.blocks``.
Then it proves the critic's Lipschitz constant, and with it a lower bound of the distance.

    python -m benchmarks.square [--seeds N] [--json FILE]
"""

from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

import sngan
from benchmarks.common import Table, argument_parser, timed, write_json
from sngan.lipschitz import blocks, lipschitz_bounds

EXACT, SIDE, SIZE = 35.0, 35, 64
STEPS, BATCH, STEP_SIZE = 160, 16, 0.02
TABLE = Table("seed", 6, [("E f(x) − E f(y)", "15.6f"), ("proved constant", "15.10f"),
                          ("proved W1 ≥", "12.6f"), ("CPU s", "7.1f")])  # fmt: skip


@dataclass
class Row:
    """The difference of mean scores, the proved constant, the proved bound, CPU seconds."""

    difference: float
    lipschitz: float
    bound: float
    seconds: float


def images() -> tuple[Tensor, Tensor]:
    """The images of both kinds: with squares of 1 and −1, and black."""
    square = torch.zeros(1, SIZE, SIZE)
    start = (SIZE - SIDE) // 2
    square[:, start : start + SIDE, start : start + SIDE] = 1
    signs = torch.tensor([1.0, -1.0]).repeat(BATCH // 4)
    return signs[:, None, None, None] * square, torch.zeros(BATCH // 2, 1, SIZE, SIZE)


def critic() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for sizes in pairwise((SIZE**2, 128, 64, 32, 1)):
        layers += [blocks.orthogonal_linear(*sizes), blocks.MaxMin()]
    return nn.Sequential(*layers[:-1])


def trained(network: nn.Module) -> nn.Module:
    x, y = images()
    batch, labels = torch.cat([x, y]), torch.arange(BATCH) < len(x)
    optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, STEPS, power=2.0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        sngan.losses.kr(network(batch), labels).backward()
        optimizer.step()
        schedule.step()
    return network


def measured(seed: int) -> Row:
    torch.manual_seed(seed)
    network, seconds = timed(lambda: trained(critic()))
    network = network.double()
    x, y = (part.double() for part in images())
    with torch.no_grad():
        difference = float(network(x).mean() - network(y).mean())
    proved = lipschitz_bounds(network, (1, SIZE, SIZE), slopes="product", lower=False).upper
    bound = sngan.critic_bound(network, x, y, proved)
    return Row(difference, proved, bound, seconds.cpu)


def main() -> None:
    parser = argument_parser(__doc__, "square")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"exact: {EXACT}; deel-torchlip's example: 34.9952")
    print(TABLE.head())
    rows: dict[str, Row] = {}
    for seed in range(arguments.seeds):
        row = rows[str(seed)] = measured(seed)
        print(TABLE.line(str(seed), *asdict(row).values()), flush=True)
    write_json({seed: asdict(row) for seed, row in rows.items()}, arguments.json)


if __name__ == "__main__":
    main()
