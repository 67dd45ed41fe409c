"""Evaluation of a run's samples, or of the samples of a SOURCE, against real ones."""

import logging
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
from sngan.metrics.evaluator import MINIMUM
from sngan.runs.chosen import LAST
from sngan.runs.evaluations import add_evaluation
from sngan.runs.hub import is_hub_name, is_run_folder
from sngan.runs.layout import RunFolder
from sngan.runs.model_file import SUFFIX
from sngan.runs.run import Run, load
from sngan.tasks.report import try_report
from sngan.utils import consent
from sngan.utils.checks import require
from sngan.utils.families import of_family
from sngan.utils.progress import counting
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


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
    checkpoint: str | int = LAST,
    allow_code: bool = False,
) -> Result:
    """Measure a run's samples against real ones: the run's data, or those of ``source``.

    The result also has the values of two halves of the real data against each other. That of a run
    is written into ``RUN/evaluations.jsonl``, and ``RUN/report.html`` shows it.

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
    checkpoint
        The weights, as for :func:`sngan.load`.
    allow_code
        Import the code that the run's settings name, see :func:`sngan.load`.

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
    given_names = (source, held_out, extractor)
    consent.allow(name for name in given_names if isinstance(name, str))
    if source is None or _is_run(run):
        loaded = load(run, checkpoint=checkpoint, allow_code=allow_code)
        result = _of_run(loaded, source, samples, held_out, seed=seed, **choices)
        if is_run_folder(run):
            # the report draws values by the run's own settings beside those of the training
            is_own = source is samples is extractor is weights is None
            where = loaded.config.data.source if source is None else source
            conditions = {"source": where, "seed": seed, "is_own": is_own}
            _write(loaded.folder, conditions | result.to_dict())
        return result
    real = _opened(DataConfig(source=source))
    given = _as(real, str(run), "run")
    for name, dataset in (("data", real), ("run", given)):
        expected = f"at least {MINIMUM} samples"
        require(len(dataset) >= MINIMUM, name, expected=expected, got=len(dataset))
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
    """Whether this is a run: its folder, the file of its generator, or a name on the hub."""
    is_model = str(run).endswith(SUFFIX) and Path(run).is_file()
    return is_hub_name(run) or is_model or RunFolder(Path(run)).config.is_file()


def _of_run(
    run: Run,
    source: str | None,
    samples: int | None,
    held_out: str | None,
    *,
    seed: int,
    **choices: Any,
) -> Result:
    settings = run.config.evaluation
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
        result = evaluator(draw())
        return result.with_baseline(evaluator.real_against_real())


def _write(folder: Path, values: dict[str, Any]) -> None:
    try:
        add_evaluation(folder, values)
    except (OSError, ValueError) as error:
        # the result is useful without the file, so this only warns
        _log.warning("the result is not written into the run: %s", first_line(error))
        return
    try_report(folder)


def _opened(settings: DataConfig) -> data.Dataset:
    with counting("decoding", file=sys.stderr) as progress:
        return open_dataset(settings, progress)


def _as(real: data.Dataset, source: str, name: str) -> data.Dataset:
    """Open samples with the size and the channels of the real ones."""
    shape = real.sample_shape
    channels = shape[0] if real.is_images else None
    size = data.resolution_setting((shape[1], shape[2])) if real.is_images else None
    try:
        found = _opened(DataConfig(source=source, channels=channels, resolution=size))
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
