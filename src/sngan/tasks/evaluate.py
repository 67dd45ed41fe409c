"""Measuring a run's samples against real ones."""

import sys
from dataclasses import replace
from pathlib import Path

from sngan.engine.state import open_dataset
from sngan.metrics import Evaluator, Result
from sngan.runs.run import load
from sngan.utils.checks import require
from sngan.utils.progress import counting


def evaluate(
    folder: str | Path,
    *,
    source: str | None = None,
    samples: int | None = None,
    extractor: str | None = None,
    weights: str | None = None,
    seed: int = 0,
) -> Result:
    """Measure a run's samples against real ones: its own data, or those of ``source``.

    What is left out is as the run's settings have it (its group ``evaluation``).

    Raises
    ------
    ValueError
        The folder is no run, the data is of another shape than the run's samples, too few samples
        for a metric, weights that cannot be had.
    """
    run = load(folder)
    settings = run.config.evaluation
    chosen = run.config.data
    if source is not None:
        # how the run's own data is kept need not fit another
        chosen = replace(chosen, source=source, cache="auto")
    with counting("decoding", file=sys.stderr) as progress:
        dataset = open_dataset(chosen, progress)
    require(
        dataset.sample_shape == run.config.model.sample_shape,
        "data",
        expected=f"samples of shape {run.config.model.sample_shape}, as the run's",
        got=dataset.sample_shape,
    )
    n = settings.samples if samples is None else samples
    with counting("evaluating", file=sys.stderr) as progress:
        evaluator = Evaluator.from_settings(
            dataset,
            settings,
            seed=seed,
            split=chosen.split,
            samples=n,
            extractor=extractor,
            weights=weights,
            progress=progress,
        )
        return evaluator(run.generate(n, seed=seed))
