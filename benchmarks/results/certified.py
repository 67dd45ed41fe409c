"""Certified accuracy on Fashion-MNIST: our orthogonal layers beside those of deel-torchlip.

Both networks get the same losses, batches and CPU seconds (``benchmarks/fashion.py``). The search
trains for 50 seconds and measures on images that are held out of the training set; a loss is better
if the sum of accuracy and certified accuracy at ε = 0.25 and 0.5 is larger. The final runs use the
two best losses, which are the same for both networks, and the whole training set. They are measured
once, on the test set.

    apt-get install dataset-fashion-mnist
    pip install deel-torchlip
    python -m benchmarks.results.certified [--only TEXT ...]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.fashion import NETWORKS, RADII, SIZES, Job, evaluated, splits, train
from benchmarks.results.records import Cell, Record, main
from benchmarks.results.tables import caption, table

NAME = "certified"
COMMAND = "python -m benchmarks.results.certified"
STATES = Path("runs/certified")
SEARCH_BUDGET, FINAL_BUDGET = 50, 300
LOSSES: dict[str, tuple[str, dict[str, float]]] = {
    **{
        f"HKR, α {alpha}, margin {margin}": ("multiclass_hkr", {"alpha": alpha, "margin": margin})
        for alpha, margin in ((0.98, 0.3), (0.995, 0.4))
    },
    **{
        f"margin cross-entropy, τ 10, margin {margin}": (
            "margin_cross_entropy",
            {"temperature": 10.0, "margin": margin},
        )
        for margin in (0.5, 0.9, 1.2)
    },
}
FINAL = [title for title in LOSSES if title.endswith(("margin 0.9", "margin 1.2"))]


def cells(seeds: Sequence[int]) -> list[Cell]:
    """List the runs: the final ones of the first seed come first."""
    final = [
        _cell(network, title, seed, final=True)
        for seed in seeds
        for title in FINAL
        for network in NETWORKS
    ]
    search = [_cell(network, title, 0, final=False) for title in LOSSES for network in NETWORKS]
    return final + search


def _cell(network: str, title: str, seed: int, *, final: bool) -> Cell:
    loss, options = LOSSES[title]
    settings = {
        "network": network,
        "title": title,
        "loss": loss,
        "options": options,
        "seed": seed,
        "budget": FINAL_BUDGET if final else SEARCH_BUDGET,
        "final": final,
        "sizes": list(SIZES),
        "version": 1,
    }
    words = [network, loss.replace("_", "-"), *map(str, options.values())]
    return Cell("-".join([*words, f"seed{seed}" if final else "search"]), settings)


def run(cell: Cell) -> dict[str, Any]:
    """Train one network, or go on with it, and measure it."""
    given = cell.settings
    torch.set_num_threads(1)
    torch.manual_seed(given["seed"])
    network = NETWORKS[given["network"]]()
    training, measured = splits(held_out=not given["final"])
    job = Job(given["loss"], given["options"], given["budget"])
    spent = train(network, training, job, STATES / f"{cell.file}.pt")
    return {**evaluated(network, measured), "steps": spent.steps, "seconds": spent.seconds}


def markdown(records: Sequence[Record]) -> str:
    """The final runs, and those of the search, with the best sum of each network in bold."""
    final = [record for record in records if record.settings["final"]]
    search = [record for record in records if not record.settings["final"]]
    best = {
        network: max((_sum(r) for r in search if r.settings["network"] == network), default=0.0)
        for network in NETWORKS
    }
    head = ["network", "loss", "accuracy", *(f"ε {radius}" for radius in RADII), "steps"]
    rows = [[*_row(record), f"{record.result['steps']:,}"] for record in final]
    found = [
        [*_row(record), f"**{_sum(record):.4f}**" if is_best else f"{_sum(record):.4f}"]
        for record in search
        for is_best in [_sum(record) == best[record.settings["network"]]]
    ]
    return "\n\n".join(
        [
            table(head, rows),
            f"Held-out images, {SEARCH_BUDGET} CPU seconds each; the last column is the sum of "
            "accuracy and certified accuracy at ε 0.25 and 0.5.",
            table([*head[:-1], "sum"], found),
            caption(records, command=COMMAND),
        ]
    )


def _row(record: Record) -> list[str]:
    values = [record.result["accuracy"], *record.result["certified"].values()]
    words = [record.settings["network"], record.settings["title"]]
    return [*words, *(f"{value:.4f}" for value in values)]


def _sum(record: Record) -> float:
    """The figure that decides the search."""
    certified = record.result["certified"]
    return record.result["accuracy"] + certified["0.25"] + certified["0.5"]


if __name__ == "__main__":
    main(NAME, cells, run, seeds=1)
