"""Evaluator: all metrics that compare generated samples with a data set."""

from collections.abc import Iterator
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
from sngan.metrics.feature_metrics import (
    class_score,
    copying,
    distances,
    to_metric_device,
    transport_distances,
)
from sngan.metrics.manifold import manifold
from sngan.metrics.modes import class_coverage, mixture_coverage
from sngan.metrics.neighbours import Neighbours, nearest_neighbours
from sngan.metrics.result import Result
from sngan.metrics.settings import EvaluationSettings, chosen_extractor
from sngan.metrics.store import Tensors, cached, fingerprint
from sngan.utils.checks import require, require_count

MINIMUM = 10  # the Inception Score has 10 splits, and the manifolds use 5 neighbours
_TRANSPORT = 1000  # the exact distance takes O(n²) memory and O(n³) time
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
        ``points``, ``pixels``, ``domain`` or ``inception``; ``auto`` is ``points`` for points, and
        ``domain`` for images.
    samples
        How many generated samples, and at most how many real ones, are compared; at least 10.
    seed
        The seed for the choice of real samples, the training of ``domain`` and the directions of
        the sliced distance.
    weights
        A file of Inception's weights; ``None`` downloads them on first use.
    split
        The name of the data's split, which is written into the result.
    progress
        Called with (real samples done, all) while features are extracted.

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
        extractor: str = "auto",
        *,
        samples: int = 1000,
        seed: int = 0,
        weights: Path | str | None = None,
        split: str = "train",
        progress: Progress | None = None,
    ) -> None:
        require_count(samples, "samples", minimum=MINIMUM)
        require(
            len(dataset) >= MINIMUM,
            "dataset",
            expected=f"at least {MINIMUM} samples",
            got=len(dataset),
        )
        self.samples, self.split = samples, split
        self._dataset, self._seed = dataset, seed
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(dataset), generator=generator).to(dataset.samples.device)
        real = dataset.values(self._order[:samples]).cpu()
        path = None if weights is None else Path(weights)
        self._extractor = open_extractor(dataset, extractor, seed=seed, weights=path)
        self._classifier = self._class_extractor()
        self._real = _real_features(self._extractor, real, progress)
        self._real_classes = None
        if self._classifier is not None and not is_stacked(dataset):
            self._real_classes, _ = _classes(_real_features(self._classifier, real, progress))
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
        progress: Progress | None = None,
    ) -> "Evaluator":
        """Make an evaluator from the settings of a run.

        Parameters
        ----------
        dataset, seed, split, progress
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
        transported = min(_TRANSPORT, len(found), len(real))
        values = {
            **distances(found, real),
            **transport_distances(found.cpu(), self._real.features, transported, seed=self._seed),
            **class_score(extracted.logits),
            **manifold(found, real)._asdict(),
            **self._modes(generated, extracted),
            **copying(found, real),
        }
        classifier = self._classifier or self._extractor
        return Result(
            values,
            extractor=self._extractor.name,
            n_generated=len(found),
            n_real=len(real),
            n_transport=transported,
            split=self.split,
            accuracy=classifier.accuracy,
            reference=self._reference,
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
        """The classifier that counts classes of labelled images; ``None`` for other data."""
        if not self._dataset.is_images or self._dataset.labels is None:
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

    def _modes(self, generated: Tensor, extracted: Extracted) -> dict[str, float]:
        """The modes of a known mixture or of stacked digits, or the classes of labelled images."""
        mixture = MIXTURES.get(self._dataset.name)
        if mixture is not None:
            return mixture_coverage(to_metric_device(generated), mixture).to_dict()
        if self._classifier is None:
            return {}
        if self._classifier is not self._extractor:
            extracted = extract(self._classifier, generated)
        classes, total = _classes(extracted)
        if self._real_classes is None:
            return _mode_values(*class_coverage(classes, torch.ones(total)))
        counts = torch.bincount(self._real_classes, minlength=total)
        seen = class_coverage(classes, counts, smoothing=0.5)
        return {"classes": seen.covered, "classes_of": total, "class_kl": seen.divergence}


def _real_features(extractor: Extractor, real: Tensor, progress: Progress | None) -> Extracted:
    """The features of real samples, from the cache if that is faster than computing them."""

    def compute() -> Tensors:
        found = extract(extractor, real, progress=progress)
        logits = {} if found.logits is None else {"logits": found.logits}
        return {"features": found.features, **logits}

    if extractor.key is None:
        return Extracted(**compute())
    return Extracted(**cached(f"features-{fingerprint(extractor.key, real)}", compute))


def _classes(extracted: Extracted) -> tuple[Tensor, int]:
    """The class of each sample, and the number of classes."""
    assert extracted.logits is not None
    return extracted.logits.argmax(1).cpu(), extracted.logits.shape[1]


def _mode_values(covered: int, total: int, divergence: float) -> dict[str, float]:
    return {"modes": covered, "modes_of": total, "reverse_kl": divergence}
