"""Feature metrics, under the names that they have in results and records."""

import math

from torch import Tensor

from sngan.metrics.frechet import frechet_distance
from sngan.metrics.inception_score import inception_score
from sngan.metrics.kernel import kernel_distance
from sngan.metrics.neighbours import copying_ratio
from sngan.transport import sliced_wasserstein, wasserstein


def distances(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Compute the Fréchet and the kernel distance."""
    kernel = kernel_distance(generated, real)
    return {
        "frechet": frechet_distance(generated, real),
        "kernel": kernel.distance,
        "kernel_error": kernel.standard_error,
    }


def transport_distances(
    generated: Tensor, real: Tensor, count: int, *, seed: int
) -> dict[str, float]:
    """Compute ``W_1`` of the first ``count`` rows, and the sliced ``W_1`` of all rows.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``.
    count
        The number of rows of each for ``W_1``; the time grows with its cube.
    seed
        The seed of the directions of the sliced distance.
    """
    return {
        "w1": wasserstein(generated[:count], real[:count]).distance,
        "sliced_w1": sliced_wasserstein(generated, real, seed=seed).distance,
    }


def class_score(logits: Tensor | None) -> dict[str, float]:
    """Compute the Inception Score; return no value without logits."""
    if logits is None:
        return {}
    found = inception_score(to_metric_device(logits))
    return {"inception_score": found.score, "inception_score_deviation": found.deviation}


def copying(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Compute the copying ratio; return no value if duplicates of real samples make it infinite."""
    ratio = copying_ratio(generated, real)
    return {"memorized_distance": ratio} if math.isfinite(ratio) else {}


def to_metric_device(values: Tensor) -> Tensor:
    """Move values to the CPU unless they are on CUDA, because other devices may lack float64."""
    return values if values.device.type == "cuda" else values.cpu()
