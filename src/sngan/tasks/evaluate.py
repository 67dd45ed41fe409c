"""Evaluation of a run: metrics of its samples against real ones."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from sngan.engine.setup import open_dataset
from sngan.metrics import Evaluator, Result
from sngan.runs.evaluations import add_evaluation
from sngan.runs.hub import is_run_folder
from sngan.runs.run import load
from sngan.tasks.report import try_report
from sngan.utils import consent
from sngan.utils.checks import require
from sngan.utils.progress import counting
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


def evaluate(
    folder: str | Path,
    *,
    source: str | None = None,
    samples: int | None = None,
    extractor: str | None = None,
    weights: str | None = None,
    seed: int = 0,
    checkpoint: str | int = "last",
    allow_code: bool = False,
) -> Result:
    """Measure a run's samples against real ones: the run's data, or those of ``source``.

    The result also has the values of two halves of the real data against each other. It is written
    into ``RUN/evaluations.jsonl``, and ``RUN/report.html`` shows it, if the run is a folder.

    Parameters
    ----------
    folder
        The folder of the run, its ``generator.safetensors``, or ``hf:USER/NAME``.
    source
        Other data, in any form of ``sngan train --data``.
    samples, extractor, weights
        The number of samples, the features, and the file of InceptionV3 weights; left out: those
        of the run's own settings, in the group ``evaluation``.
    seed
        The seed of the generated samples, and of the choice of real ones.
    checkpoint
        The weights, as for :func:`sngan.load`.
    allow_code
        Import the code that the run's settings name, see :func:`sngan.load`.

    Raises
    ------
    ValueError
        If the folder is no run, the data has another shape than the run's samples, there are too
        few samples for a metric, or the weights cannot be read or downloaded.
    """
    consent.allow(text for text in (source, extractor) if text is not None)
    run = load(folder, checkpoint=checkpoint, allow_code=allow_code)
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
    # the report draws such values beside those of the training
    is_own = source is samples is extractor is weights is None
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
        result = evaluator(run.generate(n, seed=seed))
        result = result.with_baseline(evaluator.real_against_real())
    conditions = {"source": chosen.source, "seed": seed, "is_own": is_own}
    if is_run_folder(folder):
        _write(run.folder, conditions | result.to_dict())
    return result


def _write(folder: Path, values: dict[str, Any]) -> None:
    try:
        add_evaluation(folder, values)
    except (OSError, ValueError) as error:
        # the result is useful without the file, so this only warns
        _log.warning("the result is not written into the run: %s", first_line(error))
        return
    try_report(folder)
