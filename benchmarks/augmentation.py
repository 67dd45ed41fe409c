"""Cost of augmentation: the time of a training step with it, divided by that of one without.

python -m benchmarks.augmentation [--rounds N] [--json FILE]
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks.common import (
    Table,
    argument_parser,
    interleaved,
    median_ratios,
    medians,
    versions,
    write_json,
)
from sngan import METHODS, Config
from sngan.config import DataConfig, ModelConfig
from sngan.data import Dataset
from sngan.engine import TrainState, train_step

POLICIES = ("none", "color,translation,cutout", "p=0.5", "ada")
# network, side, width, critic steps
SIZES = [("cnn", 16, 0.25, 1), ("cnn", 32, 0.25, 1), ("cnn", 32, 1.0, 1)]
_BATCH = 64


def step_of(policy: str, size: tuple[str, int, float, int]) -> Callable[[], object]:
    """A training step of ``sn`` on random images, with this augmentation."""
    name, side, width, n_critic = size
    config = Config(
        data=DataConfig(augment=policy),
        method=replace(METHODS["sn"], n_critic=n_critic),
        model=ModelConfig(name=name, width=width),
        batch_size=_BATCH,
    )
    pixels = torch.randint(0, 256, (512, 3, side, side), dtype=torch.uint8)
    state = TrainState.build(config, Dataset("random", pixels))
    return partial(train_step, config, state)


def main() -> None:
    parser = argument_parser(__doc__, "augmentation")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print(f"{versions()}, batch {_BATCH}, colour images; CPU time, medians of the rounds")
    table = Table("network, augmentation", 56, [("ms", "8.1f"), ("ratio", "7.3f")])
    print(table.head())
    rows: list[dict[str, float | str]] = []
    for size in SIZES:
        jobs = {policy: step_of(policy, size) for policy in POLICIES}
        taken = interleaved(jobs, rounds=arguments.rounds, warm_up=1)
        for policy in POLICIES:
            cpu = medians(taken[policy]).cpu
            ratio = median_ratios(taken[policy], taken["none"]).cpu
            network = "{} {}², width {}, n_critic {}".format(*size)
            print(table.line(f"{network}, {policy}", 1000 * cpu, ratio), flush=True)
            rows.append({"network": network, "augment": policy, "cpu": cpu, "ratio": ratio})
    write_json({"versions": versions(), "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
