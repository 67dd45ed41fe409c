"""Evaluation of a run: metrics of its samples against real ones."""

import sys
from dataclasses import replace
from pathlib import Path

from sngan.engine.setup import open_dataset
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
    checkpoint: str | int = "last",
) -> Result:
    """Measure a run's samples against real ones: the run's data, or those of ``source``.

    Parameters
    ----------
    folder
        The folder of the run.
    source
        Other data, in any form of ``sngan train --data``.
    samples, extractor, weights
        The number of samples, the features, and the file of InceptionV3 weights; left out: those
        of the run's own settings, in the group ``evaluation``.
    seed
        The seed of the generated samples, and of the choice of real ones.
    checkpoint
        The weights, as for :func:`sngan.load`.

    Raises
    ------
    ValueError
        If the folder is no run, the data has another shape than the run's samples, there are too
        few samples for a metric, or the weights cannot be read or downloaded.
    """
    run = load(folder, checkpoint=checkpoint)
    settings = run.config.evaluation
    chosen = run.config.data
    if source is not None:
        # the cache that was chosen for the run's data need not fit other data
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
