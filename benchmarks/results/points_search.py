"""Search for the learning rate and the one constant of each method on points, by halving.

    python -m benchmarks.results.points_search [--only METHOD ...] [--budget-minutes M]
        [--records FOLDER]

Every method gets the same budget. Its grid has four learning rates and three values of one constant
(of β₁ and β₂ where the method has no constant of its own). All candidates train for a short time on
``ring8`` and on a mixture that no table uses; the best third trains longer, and the two best of
these longest. ``grid25`` is never searched on, so that its table is a test of the winners.

All methods take one critic step for each generator step, and share every other default of points.
Each run is a record under ``records/points_search/``, so the same command goes on where it stopped.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from benchmarks.common import cpu_seconds
from benchmarks.results.records import FOLDER, Cell, load, measure
from sngan import Config, data
from sngan.data.dataset import Dataset
from sngan.data.sources.toy import Mixture
from sngan.engine import TrainState, train_step
from sngan.engine.sampling import sample_average
from sngan.methods import named
from sngan.metrics import mixture_coverage
from sngan.metrics.neighbours import nearest_neighbours
from sngan.utils.tables import text_table

NAME = "points_search"
LEARNING_RATES = (5e-4, 1e-3, 2e-3, 4e-3)
_COEFFICIENTS = ("coefficient", (1.5, 2.0, 4.0))
_PENALTIES = ("penalty_weight", (0.1, 1.0, 10.0))
_BETAS = ("betas", ((0.0, 0.9), (0.5, 0.9), (0.5, 0.999)))
CONSTANTS: dict[str, tuple[str, Sequence[Any]]] = {
    "sn": _COEFFICIENTS,
    "sn-operator": _COEFFICIENTS,
    "wgan": ("clip", (0.03, 0.1, 0.3)),
    "orthonormal": ("orthonormal", (0.01, 0.1, 1.0)),
    **dict.fromkeys(("wgan-gp", "wgan-lp", "gan-gp", "sn-gp", "dragan"), _PENALTIES),
    **dict.fromkeys(("r1", "r3gan"), ("penalty_weight", (0.03, 0.3, 3.0))),
    **dict.fromkeys(("vanilla", "lsgan", "bn", "ln", "wn"), _BETAS),
}
RUNGS = ((12, 400), (4, 1500), (2, 5000))
"""How many candidates of a method train in each round, and for how many steps."""

_SEED, _SAMPLES, _POINTS = 12, 10_000, 50_000


def scattered() -> Mixture:
    """Return 12 Gaussians at random centres that are at least a quarter apart."""
    generator = torch.Generator().manual_seed(_SEED)
    centres: list[torch.Tensor] = []
    while len(centres) < 12:
        centre = 2 * torch.rand(2, generator=generator) - 1
        if all(float((centre - other).norm()) > 0.25 for other in centres):
            centres.append(centre)
    return Mixture(torch.stack(centres), std=0.01)


MIXTURES = {"ring8": data.MIXTURES["ring8"], "scattered": scattered()}


@dataclass(frozen=True)
class Candidate:
    """A method with a learning rate and a value of its constant."""

    method: str
    lr: float
    constant: Any

    @property
    def overrides(self) -> dict[str, Any]:
        """The settings of the method."""
        name, _ = CONSTANTS[self.method]
        return {"lr": self.lr, name: self.constant, "n_critic": 1}

    def cell(self, mixture: str, steps: int) -> Cell:
        """The run of this candidate on a mixture."""
        key = f"{self.method}-{mixture}-{steps}"
        overrides = {k: list(v) if isinstance(v, tuple) else v for k, v in self.overrides.items()}
        return Cell(key, {"method": self.method, "mixture": mixture, "steps": steps, **overrides})


def candidates(method: str) -> list[Candidate]:
    """The grid of a method."""
    _, constants = CONSTANTS[method]
    return [Candidate(method, lr, constant) for lr, constant in product(LEARNING_RATES, constants)]


def points_of(name: str, mixture: Mixture) -> Dataset:
    """Draw the training points of a mixture."""
    generator = torch.Generator().manual_seed(_SEED)
    labels = torch.randint(len(mixture.centres), (_POINTS,), generator=generator)
    noise = mixture.std * torch.randn(_POINTS, 2, generator=generator)
    return Dataset(name, mixture.centres[labels] + noise)


def overlap(points: torch.Tensor, mixture: Mixture) -> float:
    """The score ``Σ_k min(share of samples within 3 σ of centre k, 1/K)``, which is 1 at best.

    Missing modes, unequal modes and samples between the modes all lower it.
    """
    mode, distance = (column[:, 0] for column in nearest_neighbours(points, mixture.centres))
    total = len(mixture.centres)
    counts = torch.bincount(mode[distance <= 3 * mixture.std], minlength=total)
    return float((counts / len(points)).clamp_max(1 / total).sum())


def run(cell: Cell) -> dict[str, Any]:
    """Train one candidate and measure samples of the averaged generator."""
    settings = dict(cell.settings)
    name, steps = settings.pop("mixture"), settings.pop("steps")
    mixture = MIXTURES[name]
    method = named(settings.pop("method"), **settings)
    config = Config(method=method, steps=steps).for_points
    state = TrainState.build(config, points_of(name, mixture))
    for _ in range(steps):
        train_step(config, state)
    samples = sample_average(state.average, _SAMPLES, classes=(), seed=1)
    if not bool(samples.isfinite().all()):
        return {"score": 0.0}
    return {"score": overlap(samples, mixture), **mixture_coverage(samples, mixture).to_dict()}


def survivors(method: str, rung: int, scores: dict[str, float]) -> list[Candidate]:
    """The candidates of a round: the best of the round before. Empty until that one is complete."""
    found = candidates(method)
    for (_, steps), (kept, _) in pairwise(RUNGS[: rung + 1]):
        ranked = {one: mean_score(one, steps, scores) for one in found}
        if None in ranked.values():
            return []
        found = sorted(found, key=lambda one: -(ranked[one] or 0.0))[:kept]
    return found


def mean_score(candidate: Candidate, steps: int, scores: dict[str, float]) -> float | None:
    """The mean score over the mixtures; None where a run is missing."""
    files = [candidate.cell(name, steps).file for name in MIXTURES]
    return mean(scores[file] for file in files) if all(file in scores for file in files) else None


def saved_scores(folder: Path) -> dict[str, float]:
    """The score of each record by the name of its file."""
    return {Cell(one.key, one.settings).file: one.result["score"] for one in load(NAME, folder)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the missing runs, round by round, and print the best candidates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[*CONSTANTS], choices=[*CONSTANTS])
    parser.add_argument("--budget-minutes", type=float, default=float("inf"), help="CPU time")
    parser.add_argument("--records", type=Path, default=FOLDER, help="folder of all records")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    begun = cpu_seconds()
    for rung, (_, steps) in enumerate(RUNGS):
        for method in given.only:
            for candidate in survivors(method, rung, saved_scores(given.records)):
                for cell in (candidate.cell(name, steps) for name in MIXTURES):
                    path = given.records / NAME / cell.file
                    if path.exists():
                        continue
                    if cpu_seconds() - begun > 60 * given.budget_minutes:
                        print(table(saved_scores(given.records)))
                        print("stopped; the same command goes on")
                        return
                    record = measure(cell, run, path)
                    said = f"{path.name} {candidate} {record.result} {record.cpu_seconds} CPU s"
                    print(said, flush=True)
    print(table(saved_scores(given.records)))


def table(scores: dict[str, float]) -> str:
    """The best candidate of each method in its last complete round."""
    rows: list[tuple[str, ...]] = [("method", "lr", "constant", "steps", "score")]
    for method, (name, _) in CONSTANTS.items():
        for rung in reversed(range(len(RUNGS))):
            steps = RUNGS[rung][1]
            ranked = [(mean_score(c, steps, scores), c) for c in survivors(method, rung, scores)]
            known = [(score, c) for score, c in ranked if score is not None]
            if known and len(known) == len(ranked):
                score, best = max(known, key=lambda one: one[0])
                constant = f"{name} {best.constant}"
                rows.append((method, f"{best.lr:g}", constant, str(steps), f"{score:.3f}"))
                break
    return text_table(rows, rule=True)


if __name__ == "__main__":
    main()
