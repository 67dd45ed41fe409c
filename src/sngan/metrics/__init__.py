"""Metrics: how far generated samples are from real ones, and which parts of the data they miss.

``Evaluator`` computes all of them for one data set; the other functions are pure functions of
features and can be used alone. All compute in float64 and leave torch's global generator alone.

Only the tests use torchmetrics, to compare the values. Its Fréchet distance of a set with itself
was −3.5e-5 for 1,000 samples of 2,048 features, and its kernel distance and Inception Score change
torch's global generator.

Examples
--------
>>> import torch
>>> from sngan import metrics
>>> real = torch.tensor([[0.0], [1.0], [2.0]])
>>> round(metrics.frechet_distance(real, real + 3), 6)  # the means differ by 3, squared
9.0
"""

from sngan.metrics.evaluator import Evaluator as Evaluator
from sngan.metrics.extrapolation import frechet_infinity as frechet_infinity
from sngan.metrics.frechet import Gaussian as Gaussian
from sngan.metrics.frechet import fit_gaussian as fit_gaussian
from sngan.metrics.frechet import frechet_distance as frechet_distance
from sngan.metrics.frechet import gaussian_distance as gaussian_distance
from sngan.metrics.frechet import gaussian_of_moments as gaussian_of_moments
from sngan.metrics.inception_score import InceptionScore as InceptionScore
from sngan.metrics.inception_score import inception_score as inception_score
from sngan.metrics.kernel import KernelDistance as KernelDistance
from sngan.metrics.kernel import kernel_distance as kernel_distance
from sngan.metrics.likelihood import likelihood_divergence as likelihood_divergence
from sngan.metrics.manifold import Manifold as Manifold
from sngan.metrics.manifold import manifold as manifold
from sngan.metrics.measuring import METRICS as METRICS
from sngan.metrics.measuring import chosen_metrics as chosen_metrics
from sngan.metrics.modes import Coverage as Coverage
from sngan.metrics.modes import MixtureCoverage as MixtureCoverage
from sngan.metrics.modes import class_coverage as class_coverage
from sngan.metrics.modes import kl_divergence as kl_divergence
from sngan.metrics.modes import mixture_coverage as mixture_coverage
from sngan.metrics.monge import mind as mind
from sngan.metrics.neighbours import Neighbours as Neighbours
from sngan.metrics.neighbours import authpct as authpct
from sngan.metrics.neighbours import copying_ratio as copying_ratio
from sngan.metrics.neighbours import nearest_neighbours as nearest_neighbours
from sngan.metrics.result import HIGHER_IS_BETTER as HIGHER_IS_BETTER
from sngan.metrics.result import Result as Result
from sngan.utils.extractor_names import EXTRACTORS as EXTRACTORS

__all__ = [
    "EXTRACTORS",
    "HIGHER_IS_BETTER",
    "METRICS",
    "Coverage",
    "Evaluator",
    "Gaussian",
    "InceptionScore",
    "KernelDistance",
    "Manifold",
    "MixtureCoverage",
    "Neighbours",
    "Result",
    "authpct",
    "chosen_metrics",
    "class_coverage",
    "copying_ratio",
    "fit_gaussian",
    "frechet_distance",
    "frechet_infinity",
    "gaussian_distance",
    "gaussian_of_moments",
    "inception_score",
    "kernel_distance",
    "kl_divergence",
    "likelihood_divergence",
    "manifold",
    "mind",
    "mixture_coverage",
    "nearest_neighbours",
]
