"""Metrics take numbers in every form and of every magnitude, and refuse the rest in one line."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from helpers.features import normal
from helpers.inputs import forms, refused
from sngan.data import MIXTURES
from sngan.metrics import (
    class_coverage,
    copying_ratio,
    fit_gaussian,
    frechet_distance,
    gaussian_distance,
    gaussian_of_moments,
    inception_score,
    kernel_distance,
    kl_divergence,
    manifold,
    mixture_coverage,
    nearest_neighbours,
)

X, Y = normal(12, 2).numpy(), normal(11, 2, seed=1).numpy() + 0.3
PAIRS = {
    "frechet": frechet_distance,
    "kernel": kernel_distance,
    "manifold": manifold,
    "copying": copying_ratio,
    "nearest": lambda x, y: nearest_neighbours(x, y).distances[:, 0].tolist(),
}
SINGLE = {
    "gaussian": lambda x: fit_gaussian(x).mean.tolist(),
    "inception": lambda x: inception_score(x, splits=2),
    "mixture": lambda x: mixture_coverage(x, MIXTURES["ring8"]),
}
CALLS = PAIRS | {name: lambda x, y, call=call: call(x) for name, call in SINGLE.items()}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("form", forms(X))
def test_numbers_in_every_form(name, form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CALLS[name](forms(X)[form], forms(Y)[form]) == pytest.approx(CALLS[name](X, Y))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("form", refused(X))
def test_forms_that_are_refused(name, form):
    argument = "generated|features|logits|points|samples"
    with pytest.raises(ValueError, match=rf"^({argument}): expected floating-point features"):
        CALLS[name](refused(X)[form], Y)
    if name in PAIRS:
        with pytest.raises(ValueError, match=r"^real: expected floating-point features"):
            PAIRS[name](X, refused(X)[form])


def test_real_samples_in_parts():
    whole = nearest_neighbours(X, Y, count=3)
    for parts in (np.array_split(Y, 3), tuple(torch.from_numpy(Y).split(4)), [Y.tolist()]):
        found = nearest_neighbours(X, parts, count=3)
        assert torch.equal(found.indices, whole.indices)


def test_histograms_in_every_form():
    counts, reference = [3, 0, 5], [1, 1, 2]
    expected = kl_divergence(torch.tensor(counts), torch.tensor(reference))
    for kind in (list, tuple, np.array, lambda x: np.array(x, dtype=np.uint8), torch.tensor):
        assert kl_divergence(kind(counts), kind(reference)) == expected
        assert class_coverage(kind([0, 0, 0, 2, 2, 2, 2, 2]), kind(reference)).covered == 2
    tiny = [1e-300 * count for count in counts]
    assert kl_divergence(tiny, reference) == pytest.approx(expected, rel=1e-12)
    assert kl_divergence([1e308 * c for c in (0.3, 0.0, 0.5)], reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kl_divergence([1.0, math.nan], [1, 1]), "counts: expected finite numbers, got"),
        (lambda: kl_divergence([[1.0]], [1]), r"counts: expected numbers \(K,\)"),
        (lambda: kl_divergence([], []), r"counts: expected numbers \(K,\)"),
        (lambda: kl_divergence([1], [1], smoothing=-1.0), "smoothing: expected .* at least 0"),
        (lambda: class_coverage([0.5], [1, 1]), r"classes: expected integers \(n,\)"),
        (lambda: class_coverage([-1], [1, 1]), r"classes: expected integers \(n,\)"),
        (
            lambda: class_coverage([10**15], [1, 1]),
            "classes: expected integers from 0 to 1, got 1000",
        ),
        (lambda: inception_score(X, splits=0), "splits: expected an integer of at least 1"),
        (lambda: gaussian_of_moments(X, np.eye(2)), r"mean: expected shape \(d,\), got \(12, 2\)"),
        (lambda: gaussian_of_moments([0.0, np.nan], np.eye(2)), "mean: expected finite values"),
        (lambda: gaussian_of_moments([0.0], [[np.inf]]), "covariance: expected finite values"),
        (lambda: gaussian_of_moments([], np.zeros((0, 0))), "covariance: expected shape"),
        (
            lambda: gaussian_of_moments([0, 0], [[1.0, 0.5], [0.0, 1.0]]),
            "covariance: expected a symmetric matrix, got differences of",
        ),
        (
            lambda: gaussian_distance(fit_gaussian(X), fit_gaussian(X[:, :1])),
            "x: expected the dimension of y, 1, got 2",
        ),
        (lambda: kernel_distance(X * 1e100, Y * 1e100), "generated, real: expected features whose"),
        (lambda: frechet_distance(X * 1e200, Y * 1e200), "x, y: expected a squared distance that"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


@pytest.mark.parametrize("form", sorted(set(refused(X)) - {"words"}))
def test_moments_that_are_refused(form):
    with pytest.raises(ValueError, match=r"^mean: expected floating-point numbers \(d,\)"):
        gaussian_of_moments(refused(np.ones(2))[form], np.eye(2))
    with pytest.raises(ValueError, match=r"^covariance: expected floating-point numbers \(d, d\)"):
        gaussian_of_moments(np.ones(2), refused(np.eye(2))[form])


SCALES = pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-200, 1e-160, 1e-20, 1e50, 1e300])


@SCALES
def test_what_compares_distances_does_not_see_the_unit(scale):
    x, y = normal(60, 5), normal(70, 5, seed=1) * 0.8 + 0.3
    expected = manifold(x, y)
    assert manifold(x * scale, y * scale) == pytest.approx(expected, abs=0.03)
    assert 0 < expected.precision < 1
    if scale >= 1e-300:
        assert manifold(x * scale, y * scale) == pytest.approx(expected, abs=1e-12)
        here, there = (
            nearest_neighbours(x, y, count=4),
            nearest_neighbours(x * scale, y * scale, count=4),
        )
        assert torch.equal(here.indices, there.indices)
        assert there.distances / scale == pytest.approx(here.distances, rel=1e-12)
        ratio = copying_ratio(x, y)
        assert copying_ratio(x * scale, y * scale) == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1e-8, 1e3, 1e30, 1e100])
def test_squares_follow_the_unit(scale):
    x, y = normal(60, 5), normal(70, 5, seed=1) * 0.8 + 0.3
    expected = frechet_distance(x, y)
    assert frechet_distance(x * scale, y * scale) == pytest.approx(scale**2 * expected, rel=1e-9)
    fits = [fit_gaussian(part * scale) for part in (x, y)]
    assert fits[0].mean / scale == pytest.approx(x.mean(0), rel=1e-12)
    covariances = [part.T.cov() * scale**2 for part in (x, y)]
    if scale > 1e-150:
        moments = [gaussian_of_moments(f.mean, c) for f, c in zip(fits, covariances, strict=True)]
        assert gaussian_distance(*moments) == pytest.approx(scale**2 * expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e-8, 1e-4])
def test_the_kernel_distance_of_small_features_is_that_of_their_means(scale):
    # (t + 1)³ − 1 → 3t: the unbiased squared distance of the means, times 3/d
    x, y = normal(30, 4), normal(40, 4, seed=1) + 0.5
    shift = (x.mean(0) - y.mean(0)).square().sum()
    bias = x.var(0).sum() / len(x) + y.var(0).sum() / len(y)
    expected = 3 / 4 * float(shift - bias)
    found = kernel_distance(x * scale, y * scale)
    assert found.distance / scale**2 == pytest.approx(expected, rel=10 * scale**2 + 1e-12)


@pytest.mark.parametrize("scale", [1e4, 1e20, 1e50])
def test_the_kernel_distance_of_large_features_is_that_of_the_cubes(scale):
    x, y = normal(30, 4), normal(40, 4, seed=1) + 0.5

    def cubes(a, b):
        return (a @ b.T / 4) ** 3

    within = [(cubes(z, z).sum() - cubes(z, z).trace()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    expected = float(sum(within) - 2 * cubes(x, y).mean())
    found = kernel_distance(x * scale, y * scale)
    assert found.distance / scale**6 == pytest.approx(expected, rel=10 / scale**2 + 1e-12)


@pytest.mark.parametrize("far", [1e9, 1e15])
def test_one_far_sample_does_not_blur_the_others(far):
    x, y = normal(60, 5), normal(70, 5, seed=1) * 0.8 + 0.3
    alone = manifold(x, y)
    y_far = torch.cat([y, torch.full((1, 5), far).double()])
    together = manifold(x, y_far)
    # the ball of the far sample may contain any generated sample
    assert together.precision >= alone.precision
    assert together.recall == pytest.approx(alone.recall * 70 / 71, abs=1e-12)
    found = nearest_neighbours(x, y_far, count=3)
    direct = np.sort(cdist(x.numpy(), y.numpy()), axis=1)[:, :3]
    assert found.distances.numpy() == pytest.approx(direct, rel=1e-9)


def test_two_far_groups_keep_their_own_distances():
    x, y = normal(40, 3), normal(40, 3, seed=1)
    for group in (x, y):
        group[::2] += 1e7
    found = nearest_neighbours(x, y, count=4)
    direct = np.sort(cdist(x.numpy(), y.numpy()), axis=1)[:, :4]
    assert found.distances.numpy() == pytest.approx(direct, rel=1e-6)


def test_points_beyond_a_mixture_are_outside():
    points = MIXTURES["ring8"].centres.double().clone()
    points[0] = 1e100
    found = mixture_coverage(points, MIXTURES["ring8"])
    assert found.covered == 7
    assert found.high_quality == pytest.approx(7 / 8)
