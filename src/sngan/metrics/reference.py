"""Reference of an evaluation: the features and the classes of real samples."""

import torch
from torch import Tensor

from sngan.data.types import Progress
from sngan.metrics.extractors import Extracted, Extractor, extract
from sngan.metrics.measuring import Values
from sngan.metrics.modes import class_coverage
from sngan.metrics.store import Tensors, cached, fingerprint


def real_features(extractor: Extractor, real: Tensor, progress: Progress | None) -> Extracted:
    """Return features of real samples, from the cache if that is faster than computing them.

    Parameters
    ----------
    extractor
        The extractor.
    real
        The samples.
    progress
        Called with (samples done, all samples).
    """

    def compute() -> Tensors:
        found = extract(extractor, real, progress=progress)
        logits = {} if found.logits is None else {"logits": found.logits}
        return {"features": found.features, **logits}

    if extractor.key is None:
        return Extracted(**compute())
    return Extracted(**cached(f"features-{fingerprint(extractor.key, real)}", compute))


def classes_of(extracted: Extracted) -> tuple[Tensor, int]:
    """Return the class of each sample, and the number of classes."""
    assert extracted.logits is not None
    return extracted.logits.argmax(1).cpu(), extracted.logits.shape[1]


def values_of_classes(classes: Tensor, total: int, real: Tensor | None) -> Values:
    """Count the classes among generated samples.

    Parameters
    ----------
    classes
        The classes of generated samples.
    total
        The number of classes.
    real
        The classes of real samples; ``None`` for stacked digits, which are equally likely.
    """
    if real is None:
        covered, total, divergence = class_coverage(classes, torch.ones(total))
        return {"modes": covered, "modes_of": total, "reverse_kl": divergence}
    counts = torch.bincount(real, minlength=total)
    seen = class_coverage(classes, counts, smoothing=0.5)
    return {"classes": seen.covered, "classes_of": total, "class_kl": seen.divergence}
