"""Evaluation of a run's samples, or of the samples of a SOURCE, against real ones."""

import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sngan import data
from sngan.config import Config, DataConfig, EvaluationConfig
from sngan.engine.setup import open_dataset
from sngan.metrics import Evaluator, Result, chosen_metrics
from sngan.runs.layout import RunFolder
from sngan.runs.run import load
from sngan.utils.checks import require
from sngan.utils.extractor_names import names_code
from sngan.utils.families import of_family
from sngan.utils.progress import counting


def evaluate(
    run: str | Path,
    *,
    source: str | None = None,
    samples: int | None = None,
    extractor: Any = None,
    weights: str | None = None,
    metrics: str | Collection[str] | None = None,
    halves: int = 0,
    held_out: str | None = None,
    seed: int = 0,
) -> Result:
    """Measure a run's samples against real ones: the run's data, or those of ``source``.

    In place of a run any SOURCE of samples may be given, together with ``source``. Its images are
    read with the size and the channels of the real ones.

    Parameters
    ----------
    run
        The folder of the run, or a SOURCE of samples.
    source
        Other data, in any form of ``sngan train --data``.
    samples, extractor, weights
        The number of samples, the features (as in :class:`sngan.metrics.Evaluator`), and the file
        of weights; left out: those of the run's own settings, in the group ``evaluation``.
    metrics, halves
        The metrics, and the number of half-samples for their intervals, as in
        :class:`sngan.metrics.Evaluator`.
    held_out
        A SOURCE of samples that were not trained on, for ``fld``; left out: the images that the run
        kept from training.
    seed
        The seed of the generated samples, and of the choice of real ones.

    Raises
    ------
    ValueError
        If the folder is no run, the data has another shape than the run's samples, there are too
        few samples for a metric, the weights cannot be read or downloaded, or the run names an
        extractor that runs code, and the caller gave none.

    Examples
    --------
    Half of the digits against all of them, by pixels:

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sngan.data import open_source
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/half.npy", open_source("digits").samples[::2].numpy())
    ...     options = {"extractor": "pixels", "metrics": "frechet,precision", "samples": 500}
    ...     found = sngan.evaluate(f"{folder}/half.npy", source="digits", **options)
    >>> found.n_generated, found.values["precision"] > 0.5
    (500, True)
    """
    choices: dict[str, Any] = {
        "extractor": extractor,
        "weights": weights,
        "metrics": metrics,
        "halves": halves,
    }
    if source is None or _is_run(run):
        return _of_run(Path(run), source, samples, held_out, seed=seed, **choices)
    real = _opened(DataConfig(source=source))
    given = _as(real, str(run), "run")
    settings = of_family(EvaluationConfig(), "images" if real.is_images else "points")
    n = settings.samples if samples is None else samples
    unseen = None if held_out is None else _as(real, held_out, "held_out")
    return _compare(
        partial(_drawn, given, n, seed),
        real,
        settings,
        samples=n,
        held_out=unseen,
        seed=seed,
        **choices,
    )


def _is_run(run: str | Path) -> bool:
    return RunFolder(Path(run)).config.is_file()


def _of_run(
    folder: Path,
    source: str | None,
    samples: int | None,
    held_out: str | None,
    *,
    seed: int,
    **choices: Any,
) -> Result:
    run = load(folder)
    settings = run.config.evaluation
    if choices["extractor"] is None and names_code(settings.extractor):
        raise ValueError(
            f"extractor: expected --extractor {settings.extractor}, because the run names it and "
            "it runs code; got none"
        )
    chosen = run.config.data
    if source is not None:
        # the cache that was chosen for the run's data need not fit other data
        chosen = replace(chosen, source=source, cache="auto")
    dataset = _opened(chosen)
    require(
        dataset.sample_shape == run.config.model.sample_shape,
        "data",
        expected=f"samples of shape {run.config.model.sample_shape}, as the run's",
        got=dataset.sample_shape,
    )
    n = settings.samples if samples is None else samples
    unseen = None if held_out is None else _as(dataset, held_out, "held_out")
    if unseen is None and source is None and "fld" in chosen_metrics(choices["metrics"]):
        dataset, unseen = _split(dataset, run.config)
    return _compare(
        partial(run.generate, n, seed=seed),
        dataset,
        settings,
        samples=n,
        held_out=unseen,
        seed=seed,
        split=chosen.split,
        **choices,
    )


def _drawn(dataset: data.Dataset, n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return dataset.values(torch.randperm(len(dataset), generator=generator)[:n])


def _compare(
    draw: Callable[[], Tensor],
    real: data.Dataset,
    settings: EvaluationConfig,
    *,
    split: str = "train",
    **choices: Any,
) -> Result:
    with counting("evaluating", file=sys.stderr) as progress:
        evaluator = Evaluator.from_settings(
            real, settings, split=split, progress=progress, **choices
        )
        # the settings are checked before samples are drawn
        return evaluator(draw())


def _opened(settings: DataConfig) -> data.Dataset:
    with counting("decoding", file=sys.stderr) as progress:
        return open_dataset(settings, progress)


def _as(real: data.Dataset, source: str, name: str) -> data.Dataset:
    """Open samples with the size and the channels of the real ones."""
    channels, side = real.sample_shape[:2] if real.is_images else (None, None)
    try:
        found = _opened(DataConfig(source=source, channels=channels, resolution=side))
    except ValueError as error:
        # the error names a setting of training
        raise ValueError(f"{name}: {str(error).partition(': ')[2]}") from error
    require(
        found.sample_shape == real.sample_shape,
        name,
        expected=f"samples of shape {real.sample_shape}, as the data's",
        got=found.sample_shape,
    )
    return found


def _split(dataset: data.Dataset, config: Config) -> tuple[data.Dataset, data.Dataset | None]:
    """The images that a run was trained on, and those that it kept from training."""
    rows = data.held_out_rows(dataset, int(config.data.held_out or 0), seed=config.seed)
    if not len(rows):
        return dataset, None
    return _rows(dataset, data.trained_rows(dataset, rows)), _rows(dataset, rows)


def _rows(dataset: data.Dataset, rows: Tensor) -> data.Dataset:
    labels = None if dataset.labels is None else dataset.labels[rows]
    return replace(dataset, samples=dataset.samples[rows], labels=labels)
