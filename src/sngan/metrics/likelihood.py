"""Feature Likelihood Divergence (FLD): how well generated samples explain samples held out."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_features, as_pair
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Reals

_STEPS, _RATE = 50, 0.5
_SHRINK = (1 - 0.1) ** 2
_LOWEST, _HIGHEST = -40.0, 20.0


def likelihood_divergence(
    generated: Reals, train: Reals, held_out: Reals, *, seed: int = 0
) -> float:
    """Feature Likelihood Divergence ``FLD = 100/d · (NLL(held_out | generated) − baseline)``.

    The density is a mixture of Gaussians around the m generated samples ``x_j``, ``p(z) = 1/m Σ_j
    N(z; x_j, σ_j² I)``. Its widths ``σ_j`` are fitted to the likelihood of the training samples, so
    a copy of a training sample becomes narrow, and explains nothing else. NLL is the mean of
    ``−log p`` over the samples held out. The baseline is the same with half of the training
    samples in place of the generated ones, fitted to the other half, so a perfect generator has
    about 0, and lower is better. Bad samples, missing modes and copies all raise it.

    As in the code of the authors, features are divided by the deviations of ``held_out``, widths
    begin at the distance to the nearest training sample, Adam takes 50 steps of rate 0.5, and a
    wide Gaussian around the mean of the training samples takes part in the fit alone.

    Source: Jiralerspong et al. 2023, Feature Likelihood Divergence, arXiv:2302.04440.

    Parameters
    ----------
    generated
        Features ``(m, d)``, m ≥ 2.
    train
        Features ``(n, d)`` of samples that the generator was trained on, n ≥ 4.
    held_out
        Features ``(k, d)`` of samples that it was not trained on, k ≥ 2.
    seed
        The seed of the halves of the baseline.

    Raises
    ------
    ValueError
        If shapes do not fit, there are too few rows, or values are not finite.

    Examples
    --------
    Samples of the same distribution have about 0; copies of the training samples much more.

    >>> import torch
    >>> from sngan.metrics import likelihood_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> train, held_out, fresh = torch.randn(3, 200, 4, generator=generator)
    >>> abs(likelihood_divergence(fresh, train, held_out)) < 10
    True
    >>> likelihood_divergence(train, train, held_out) > 100
    True
    """
    require_count(seed, "seed", minimum=0)
    as_features(held_out, "held_out", minimum=2)
    as_features(train, "train", minimum=4)
    x, known = as_pair(generated, train, minimum=2)
    unseen = as_pair(held_out, known)[0]
    deviation = unseen.std(0)
    # the code of the authors divides by 0 if a feature is constant
    deviation = torch.where(deviation > 0, deviation, 1)
    x, known, unseen = (part / deviation for part in (x, known, unseen))
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))
    order = order.to(known.device)
    half = min(len(x), len(known) // 2)
    centres, others = known[order[:half]], known[order[half:]]
    excess = _negative_likelihood(x, known, unseen) - _negative_likelihood(centres, others, unseen)
    return 100 / x.shape[1] * excess


class _Widths(NamedTuple):
    """Logarithms of ``σ_j²`` of the samples ``(m,)``, and of the Gaussian around the mean."""

    samples: Tensor
    wide: Tensor


def _negative_likelihood(centres: Tensor, fitted_to: Tensor, unseen: Tensor) -> float:
    """Fit the widths around ``centres``, and return the mean of −log p over the unseen samples."""
    widths = _fit(centres, fitted_to)
    log_p = _log_gaussians(_squared(unseen, centres), widths.samples, centres.shape[1])
    return float(math.log(len(centres)) - log_p.logsumexp(1).mean())


def _fit(centres: Tensor, fitted_to: Tensor) -> _Widths:
    d = centres.shape[1]
    squared = _squared(fitted_to, centres)
    to_mean = _SHRINK * _squared(fitted_to, fitted_to.mean(0, keepdim=True))
    start = ((squared.min(0).values + 1e-3) / d).log()
    with torch.inference_mode(False), torch.enable_grad():
        squared, to_mean = squared.clone(), to_mean.clone()
        widths = _Widths(
            start.clone().requires_grad_(), start.new_zeros(()).clone().requires_grad_()
        )
        optimizer = torch.optim.Adam(widths, lr=_RATE)
        for _ in range(_STEPS):
            optimizer.zero_grad()
            near = _log_gaussians(squared, widths.samples, d) - math.log(len(centres))
            wide = _log_gaussians(to_mean, widths.wide, d)
            (-torch.cat([near, wide], 1).logsumexp(1).mean() / d).backward()
            optimizer.step()
            with torch.no_grad():
                widths.samples.clamp_(_LOWEST, _HIGHEST)
    return _Widths(*(one.detach() for one in widths))


def _log_gaussians(squared: Tensor, log_variance: Tensor, d: int) -> Tensor:
    """``log N(z_i; x_j, σ_j² I)`` from squared distances ``(n, m)``."""
    constant = d / 2 * (log_variance + math.log(2 * math.pi))
    return -squared / 2 * (-log_variance).exp() - constant


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances ``(n, m)``, of which those of copies are exactly 0."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
