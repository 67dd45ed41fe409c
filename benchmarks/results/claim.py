"""The claim of Miyato et al. 2018: spectral normalization is robust over settings A to F.

Nine methods train under the six settings of Adam and n_critic of their Table 1, on Fashion-MNIST
at 16×16 with the networks of their Table 3 at a quarter of the width. Each run gets the same number
of updates of a network (a step with n_critic 5 has six, with n_critic 1 two), because that is the
same work for a user; the paper counted generator steps, where n_critic 5 costs three times as much.
The measurement after a third of the updates of an n_critic 1 run is at the same generator steps as
the end of an n_critic 5 run.

    apt-get install dataset-fashion-mnist
    python -m benchmarks.results.claim [--only sn-C] [--seeds N] [--budget-minutes M]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.results import claim_table
from benchmarks.results.records import Cell, Record, main
from benchmarks.results.tables import caption
from benchmarks.results.training import DomainScores, config_of, sample, train_and_measure
from sngan import data
from sngan.engine import TrainState
from sngan.metrics.extractors import open_extractor
from sngan.tasks.compare.trials import SETTINGS

NAME = "claim"
METHODS = (
    "sn", "sn-operator", "wgan-gp", "wgan", "wn", "ln", "bn", "orthonormal", "vanilla",
)  # fmt: skip
ORDER = "CDAFBE"  # the first settings are the most telling, if there is no time for all
UPDATES = 3600
MARKS = (3, 2, 4 / 3, 1)  # the whole run divided by these
SAMPLES = 5000
COMMAND = "python -m benchmarks.results.claim"
SOURCE = "/usr/share/datasets/fashion-mnist"
SIDE = 16


def cells(seeds: Sequence[int]) -> list[Cell]:
    """List the runs: all methods and settings of the first seed come first."""
    return [
        Cell(f"{method}-{setting}-seed{seed}", _settings(method, setting, seed))
        for seed in seeds
        for setting in ORDER
        for method in METHODS
    ]


def markdown(records: Sequence[Record]) -> str:
    """Show the figure, the Fréchet distances, the Inception Scores and the check of convergence."""
    frechet, score = (
        claim_table.main_table(records, METHODS, metric)
        for metric in ("frechet", "inception_score")
    )
    return "\n\n".join(
        [
            f"![Box plots of each method over settings and seeds](results/{claim_table.PICTURE})",
            "Fréchet distance at the end of a run, mean over seeds; each method's best setting is "
            "bold. The median is over all settings and seeds; near the best is at most twice it:",
            frechet,
            "Domain Inception Score; the test images have 6.13, and near the best is 90 % of it:",
            score,
            "Fréchet distance along the runs of each method's best setting:",
            claim_table.convergence_table(records, METHODS),
            caption(records, command=COMMAND, planned=len(cells(range(3)))),
        ]
    )


def draw(records: Sequence[Record], folder: Path) -> None:
    """Draw the paper's Figure 1."""
    claim_table.draw(records, METHODS, folder)


def _settings(method: str, setting: str, seed: int) -> dict[str, Any]:
    adam = SETTINGS[setting]
    return {
        "method": method,
        "setting": setting,
        "seed": seed,
        "lr": adam.lr,
        "betas": list(adam.betas),
        "n_critic": adam.n_critic,
        "updates": UPDATES,
        "batch_size": 32,
        "width": 0.25,
        "latent_dim": 128,
        "data": f"Fashion-MNIST {SIDE}x{SIDE}",
        "samples": SAMPLES,
        "ema_decay": 0.99,
        "version": 1,
    }


def run(cell: Cell) -> dict[str, Any]:
    """Train one run; measure the generator at each mark, and its moving average at the end."""
    given = cell.settings
    dataset, scores = _data()
    steps = given["updates"] // (given["n_critic"] + 1)

    def measured(state: TrainState) -> dict[str, Any]:
        def of(generator: nn.Module) -> dict[str, float]:
            return scores(sample(generator, given["samples"], latent_dim=given["latent_dim"]))

        raw = of(state.generator.module)
        return raw if state.step < steps else {**raw, "ema": of(state.average.module)}

    marks = train_and_measure(
        config_of(given, SOURCE),
        dataset,
        marks=[round(steps / part) for part in MARKS],
        measure=measured,
    )
    last = {key: marks[-1].get(key) for key in ("frechet", "inception_score")}
    return {**last, "steps": steps, "marks": marks, "classifier": scores.key}


def _data() -> tuple[data.Dataset, DomainScores]:
    """The training images, and the scores against the test images."""
    dataset = data.open_source(SOURCE, resolution=SIDE)
    held_out = data.open_source(SOURCE, resolution=SIDE, split="test")
    return dataset, DomainScores(open_extractor(dataset, "domain"), held_out)


if __name__ == "__main__":
    main(NAME, cells, run)
