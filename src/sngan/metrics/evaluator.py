"""All metrics of a data set's generated samples, against real ones that are read once."""

import math
from collections.abc import Iterator
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
from sngan.metrics.frechet import frechet_distance
from sngan.metrics.inception_score import inception_score
from sngan.metrics.kernel import kernel_distance
from sngan.metrics.manifold import manifold
from sngan.metrics.modes import class_coverage, mixture_coverage
from sngan.metrics.neighbours import Neighbours, copying_ratio, nearest_neighbours
from sngan.metrics.result import Result
from sngan.metrics.store import Tensors, cached, fingerprint
from sngan.transport import sliced_wasserstein, wasserstein
from sngan.utils.checks import require, require_count

MINIMUM = 10  # the splits of the Inception Score; more than the neighbours of the manifolds
_TRANSPORT = 1000  # the exact distance takes O(n²) memory and O(n³) time
_PART = 4096


class Evaluator:
    """Compares generated samples with a data set's.

    Real samples are drawn without replacement by ``seed``. Their features are computed once, and
    kept in the user's cache folder under a hash of the samples and the extractor. Images are
    rounded to 8 bits first, as they would be saved. Torch's global generators are left alone.

    Parameters
    ----------
    dataset
        Of the real samples.
    extractor
        ``points``, ``pixels``, ``domain`` or ``inception``; ``auto``: points as they are, labelled
        images by ``domain``, others by their pixels.
    samples
        How many generated samples, and at most how many real ones are compared; at least 10.
    seed
        Of the choice of real samples, the training of ``domain`` and the sliced distance.
    weights
        A file of Inception's weights; None downloads them on first use.
    split
        What the data set is of its source, for the record.
    progress
        Called with (real samples done, all) while features are extracted.

    Raises
    ------
    ValueError
        A setting that does not fit the data, or fewer than 10 real samples.
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
        order = torch.randperm(len(dataset), generator=generator)
        real = dataset.values(order[:samples].to(dataset.samples.device)).cpu()
        path = None if weights is None else Path(weights)
        self._extractor = open_extractor(dataset, extractor, seed=seed, weights=path)
        self._classifier = self._class_extractor()
        self._real = _reference(self._extractor, real, progress)
        self._real_classes = None
        if self._classifier is not None and not is_stacked(dataset):
            self._real_classes, _ = _classes(_reference(self._classifier, real, progress))
        self._reference = fingerprint(self._extractor.name, self._extractor.key, real)

    def __call__(self, samples: Tensor) -> Result:
        """Evaluate the first ``self.samples`` of images ``(n, C, H, W)`` or points ``(n, dim)``.

        Images are in [−1, 1]. The features are computed on the samples' device, and so are the
        metrics on CUDA; elsewhere they are on the CPU, as not all devices have float64.

        Raises
        ------
        ValueError
            Samples of another shape than the data's, fewer than 10, nan or inf.
        """
        generated = self._prepared(samples)
        extracted = extract(self._extractor, generated)
        found = _home(extracted.features)
        real = self._real.features.to(found.device)
        transported = min(_TRANSPORT, len(found), len(real))
        values = {
            **_distances(found, real),
            **_transport(found.cpu(), self._real.features, transported, self._seed),
            **_score(extracted.logits),
            **manifold(found, real)._asdict(),
            **self._modes(generated, extracted),
            **_copying(found, real),
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

    def nearest(self, samples: Tensor, *, count: int = 1) -> Neighbours:
        """The nearest of *all* samples of the data set, by points or pixels in [−1, 1]."""
        x = self._prepared(samples, minimum=1).flatten(1).cpu()
        return nearest_neighbours(x, self._parts(), count=count)

    def _parts(self) -> Iterator[Tensor]:
        for indices in torch.arange(len(self._dataset)).split(_PART):
            yield self._dataset.values(indices).flatten(1)

    def _class_extractor(self) -> Extractor | None:
        """The classifier of labelled images."""
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
        """Modes of a known mixture or of stacked digits, or else the classes of labelled images."""
        mixture = MIXTURES.get(self._dataset.name)
        if mixture is not None:
            found = mixture_coverage(_home(generated), mixture)
            quality = {"high_quality": found.high_quality}
            return {**_mode_values(found.covered, found.total, found.divergence), **quality}
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


def _reference(extractor: Extractor, real: Tensor, progress: Progress | None) -> Extracted:
    """Features of real samples, from the cache where reading is quicker."""

    def compute() -> Tensors:
        found = extract(extractor, real, progress=progress)
        logits = {} if found.logits is None else {"logits": found.logits}
        return {"features": found.features, **logits}

    if extractor.key is None:
        return Extracted(**compute())
    return Extracted(**cached(f"features-{fingerprint(extractor.key, real)}", compute))


def _distances(generated: Tensor, real: Tensor) -> dict[str, float]:
    kernel = kernel_distance(generated, real)
    return {
        "frechet": frechet_distance(generated, real),
        "kernel": kernel.distance,
        "kernel_error": kernel.standard_error,
    }


def _transport(generated: Tensor, real: Tensor, count: int, seed: int) -> dict[str, float]:
    return {
        "w1": wasserstein(generated[:count], real[:count]).distance,
        "sliced_w1": sliced_wasserstein(generated, real, seed=seed).distance,
    }


def _score(logits: Tensor | None) -> dict[str, float]:
    if logits is None:
        return {}
    found = inception_score(_home(logits))
    return {"inception_score": found.score, "inception_score_deviation": found.deviation}


def _copying(generated: Tensor, real: Tensor) -> dict[str, float]:
    ratio = copying_ratio(generated, real)
    return {"memorized_distance": ratio} if math.isfinite(ratio) else {}


def _classes(extracted: Extracted) -> tuple[Tensor, int]:
    """The class of each sample, and the number of classes."""
    assert extracted.logits is not None
    return extracted.logits.argmax(1).cpu(), extracted.logits.shape[1]


def _mode_values(covered: int, total: int, divergence: float) -> dict[str, float]:
    return {"modes": covered, "modes_of": total, "reverse_kl": divergence}


def _home(values: Tensor) -> Tensor:
    """Where the metrics are computed: not every device has float64."""
    return values if values.device.type == "cuda" else values.cpu()
