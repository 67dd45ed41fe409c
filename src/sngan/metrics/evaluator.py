"""Evaluator: all metrics that compare generated samples with a data set."""

from collections.abc import Callable, Collection, Iterator
from copy import copy
from pathlib import Path

import torch
from torch import Tensor

from sngan.data.dataset import Dataset
from sngan.data.sources.toy import MIXTURES
from sngan.data.types import Progress
from sngan.metrics.extractors import (
    Extracted,
    Extractor,
    extract,
    is_stacked,
    open_domain,
    open_extractor,
)
from sngan.metrics.measuring import (
    COUNTS,
    TRANSPORT,
    Compared,
    Values,
    chosen_metrics,
    intervals,
    measured,
    to_metric_device,
)
from sngan.metrics.modes import mixture_coverage
from sngan.metrics.neighbours import Neighbours, nearest_neighbours
from sngan.metrics.own_extractors import Features
from sngan.metrics.reference import classes_of, real_features, values_of_classes
from sngan.metrics.result import Result
from sngan.metrics.settings import EvaluationSettings, chosen_extractor
from sngan.metrics.store import fingerprint
from sngan.utils.checks import require, require_count, require_given

MINIMUM = 10  # the Inception Score has 10 splits, and the manifolds use 5 neighbours
_PART = 4096


class Evaluator:
    """Compares generated samples with those of a data set.

    The real samples are drawn without replacement. Their features are computed once, and kept in
    the user's cache folder under a hash of the samples and the extractor. Generated images are
    rounded to 8 bits first, as if they had been saved. Torch's global generators are left alone.

    Parameters
    ----------
    dataset
        The real samples.
    extractor
        ``points``, ``pixels``, ``domain``, ``inception``, ``dinov2`` or ``clip``; ``auto`` is
        ``points`` for points, and ``domain`` for images. Or a function from samples to
        features ``(n, d)``, its name ``package.module:name``, or the path of a TorchScript,
        ``torch.export`` or ONNX file, see :mod:`sngan.metrics.own_extractors`.
    samples
        How many generated samples, and at most how many real ones, are compared; at least 10.
    seed
        The seed for the choice of real samples, the training of ``domain`` and the directions of
        the sliced distance.
    weights
        A file of the published weights of ``inception``, which ``None`` downloads on first use, of
        ``dinov2`` or of ``clip``.
    metrics
        The names of the metrics to compute, such as ``["frechet", "fld"]`` or ``"usual,fld"``;
        ``None`` is ``usual``, which leaves out ``frechet_infinity`` and ``fld``.
    halves
        The number of half-samples for :func:`sngan.metrics.measuring.intervals`; 0: none.
    held_out
        Samples that the generator was not trained on, for ``fld``.
    split
        The name of the data's split, which is written into the result.
    progress
        Called with (real samples done, all), and for intervals with (halves done, all).

    Raises
    ------
    ValueError
        If a setting does not fit the data, or there are fewer than 10 real samples.

    Examples
    --------
    >>> import torch
    >>> from sngan.data import open_source
    >>> from sngan.metrics import Evaluator
    >>> dataset = open_source("ring8")
    >>> evaluator = Evaluator(dataset, samples=100)
    >>> values = evaluator(dataset.values(torch.arange(100))).values
    >>> values["modes"], values["high_quality"] > 0.9, values["w1"] < 0.5
    (8, True, True)
    """

    def __init__(
        self,
        dataset: Dataset,
        extractor: str | Path | Features = "auto",
        *,
        samples: int = 1000,
        seed: int = 0,
        weights: Path | str | None = None,
        split: str = "train",
        metrics: str | Collection[str] | None = None,
        halves: int = 0,
        held_out: Dataset | None = None,
        progress: Progress | None = None,
    ) -> None:
        require_count(samples, "samples", minimum=MINIMUM)
        expected = f"at least {MINIMUM} samples"
        require(len(dataset) >= MINIMUM, "dataset", expected=expected, got=len(dataset))
        require(halves != 1, "halves", expected="0, or at least 2", got=1)
        require_count(halves, "halves", minimum=0)
        self.samples, self.split = samples, split
        self._metrics, self._halves, self._progress = chosen_metrics(metrics), halves, progress
        self._dataset, self._seed = dataset, seed
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(dataset), generator=generator).to(dataset.samples.device)
        real = dataset.values(self._order[:samples]).cpu()
        unseen = self._held_out_values(held_out)
        path = None if weights is None else Path(weights)
        self._extractor = open_extractor(dataset, extractor, seed=seed, weights=path)
        self._classifier = self._class_extractor()
        self._real = real_features(self._extractor, real, progress)
        self._real_classes = None
        if self._classifier is not None and not is_stacked(dataset):
            self._real_classes, _ = classes_of(real_features(self._classifier, real, progress))
        self._unseen = None
        if unseen is not None:
            self._unseen = real_features(self._extractor, unseen, progress).features
        self._reference = fingerprint(self._extractor.name, self._extractor.key, real)

    @classmethod
    def from_settings(
        cls,
        dataset: Dataset,
        settings: EvaluationSettings,
        *,
        seed: int,
        split: str,
        samples: int | None = None,
        extractor: str | None = None,
        weights: str | None = None,
        metrics: str | Collection[str] | None = None,
        halves: int = 0,
        held_out: Dataset | None = None,
        progress: Progress | None = None,
    ) -> "Evaluator":
        """Make an evaluator from the settings of a run.

        Parameters
        ----------
        dataset, seed, split, metrics, halves, held_out, progress
            As in :class:`Evaluator`.
        settings
            The group ``evaluation`` of a run's settings.
        samples, extractor, weights
            Values to use instead of those of the settings; ``None`` uses the settings.

        Raises
        ------
        ValueError
            If :class:`Evaluator` would raise.
        """
        if extractor is None:
            extractor = chosen_extractor(settings, dataset)
        return cls(
            dataset,
            extractor,
            samples=settings.samples if samples is None else samples,
            seed=seed,
            weights=settings.weights if weights is None else weights,
            split=split,
            metrics=metrics,
            halves=halves,
            held_out=held_out,
            progress=progress,
        )

    def __call__(self, samples: Tensor) -> Result:
        """Evaluate the first ``self.samples`` of images ``(n, C, H, W)`` or points ``(n, dim)``.

        Images are in [−1, 1]. Features are computed on the samples' device. Metrics are computed
        there too if it is a CUDA device, otherwise on the CPU, because some devices lack float64.

        Raises
        ------
        ValueError
            If samples have another shape than the data, are fewer than 10, or are not finite.
        """
        generated = self._prepared(samples)
        extracted = extract(self._extractor, generated)
        found = to_metric_device(extracted.features)
        real = self._real.features.to(found.device)
        compared = Compared(
            found,
            real,
            held_out=self._unseen,
            logits=extracted.logits,
            modes=self._modes(generated, extracted),
            seed=self._seed,
            transported=min(TRANSPORT, len(found), len(real)),
        )
        values = measured(compared, self._metrics)
        enough = min(len(found), len(real)) >= 2 * MINIMUM
        halves = self._halves if enough else 0
        between = intervals(compared, values, halves, progress=self._progress)
        classifier = self._classifier or self._extractor
        return Result(
            values,
            extractor=self._extractor.name,
            n_generated=len(found),
            n_real=len(real),
            n_transport=compared.transported,
            split=self.split,
            accuracy=classifier.accuracy,
            reference=self._reference,
            intervals=between,
            halves=halves,
        )

    def real_against_real(self) -> Result | None:
        """Evaluate real samples against other ones: the values that a perfect generator has.

        The data is split into two halves, each of at most ``self.samples``; ``None`` if a half has
        fewer than 10 samples.
        """
        half = min(self.samples, len(self._dataset) // 2)
        if half < MINIMUM:
            return None
        first = copy(self)
        first._halves = 0
        first._real = Extracted(self._real.features[:half])
        if self._real_classes is not None:
            first._real_classes = self._real_classes[:half]
        return first(self._dataset.values(self._order[half : 2 * half]))

    def nearest(self, samples: Tensor, *, count: int = 1) -> Neighbours:
        """Find the nearest samples of the whole data set, by coordinates or pixels in [−1, 1]."""
        x = self._prepared(samples, minimum=1).flatten(1).cpu()
        return nearest_neighbours(x, self._parts(), count=count)

    def _parts(self) -> Iterator[Tensor]:
        for indices in torch.arange(len(self._dataset)).split(_PART):
            yield self._dataset.values(indices).flatten(1)

    def _class_extractor(self) -> Extractor | None:
        """The classifier that counts classes of labelled images; ``None`` if nothing needs it."""
        is_labelled = self._dataset.is_images and self._dataset.labels is not None
        if not is_labelled or COUNTS.isdisjoint(self._metrics):
            return None
        if self._extractor.name == "domain":
            return self._extractor
        return open_domain(self._dataset, seed=self._seed)

    def _prepared(self, samples: Tensor, minimum: int = MINIMUM) -> Tensor:
        shape = self._dataset.sample_shape
        fits = samples.is_floating_point() and tuple(samples.shape[1:]) == shape
        require(
            fits,
            "samples",
            expected=f"floats of shape (n, {', '.join(map(str, shape))})",
            got=f"{samples.dtype} {tuple(samples.shape)}",
        )
        samples = samples.detach()[: self.samples].float()
        got = len(samples)
        require(got >= minimum, "samples", expected=f"at least {minimum} of them", got=got)
        finite = bool(samples.isfinite().all())
        require(finite, "samples", expected="finite values", got="nan or inf")
        if not self._dataset.is_images:
            return samples
        return ((samples.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1

    def _held_out_values(self, held_out: Dataset | None) -> Tensor | None:
        """The held-out samples, if a chosen metric needs them."""
        if "fld" not in self._metrics:
            return None
        expected = "samples that were held out from training, for fld"
        given = require_given(held_out, "held_out", expected=expected)
        shape = self._dataset.sample_shape
        fits = given.sample_shape == shape and len(given) >= MINIMUM
        got = f"{len(given)} of shape {given.sample_shape}"
        require(fits, "held_out", expected=f"at least {MINIMUM} samples of shape {shape}", got=got)
        return given.values(torch.arange(min(len(given), self.samples))).cpu()

    def _modes(self, generated: Tensor, extracted: Extracted) -> Callable[[Tensor], Values]:
        """Counts modes of a known mixture or of stacked digits, or classes of labelled images."""
        mixture = MIXTURES.get(self._dataset.name)
        if mixture is not None:
            points = to_metric_device(generated)
            return lambda rows: mixture_coverage(points[rows], mixture).to_dict()
        if self._classifier is None:
            return lambda _: {}
        if self._classifier is not self._extractor:
            extracted = extract(self._classifier, generated)
        classes, total = classes_of(extracted)
        return lambda rows: values_of_classes(classes[rows], total, self._real_classes)
