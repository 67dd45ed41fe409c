"""Fréchet and kernel distances and the Inception Score against closed forms and other code."""

import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.features import Features, by_torchmetrics, normal, rotation
from sngan.metrics import (
    fit_gaussian,
    frechet_distance,
    gaussian_distance,
    gaussian_of_moments,
    inception_score,
    kernel_distance,
)


def test_frechet_of_gaussians_is_the_closed_form():
    # in one basis: |m|² + Σ (√a − √b)²
    basis, a, b = rotation(6), torch.rand(6).double() + 0.1, torch.rand(6).double() + 0.1
    mean = normal(6)
    x = gaussian_of_moments(torch.zeros(6), basis @ a.diag() @ basis.T)
    y = gaussian_of_moments(mean, basis @ b.diag() @ basis.T)
    expected = float(mean.square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    assert gaussian_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 8), (60, 300, 64), (400, 400, 1)])
def test_frechet_agrees_with_sqrtm(n, m, d):
    x, y = normal(n, d) @ normal(d, d, seed=1), normal(m, d, seed=2) + 0.5
    covariances = [np.atleast_2d(np.cov(z.numpy().T)) for z in (x, y)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    shift = float((x.mean(0) - y.mean(0)).square().sum())
    expected = shift + sum(np.trace(c) for c in covariances) - 2 * np.trace(root).real
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [20, 500])
def test_frechet_agrees_with_torchmetrics(n):
    x, y = normal(n, 32), 1.5 * normal(n, 32, seed=1)
    metric = by_torchmetrics(
        "FrechetInceptionDistance", feature=Features(32), normalize=True, input_img_size=(32,)
    ).set_dtype(torch.float64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    assert frechet_distance(y, x) == pytest.approx(float(metric.compute()), rel=1e-6)


def test_frechet_needs_no_more_samples_than_features():
    # tr (Σ_x Σ_y)^½ = |a||b| |cos| for covariances of rank one
    x, y = torch.zeros(2, 500).double(), torch.zeros(2, 500).double()
    x[0, :3], y[0, :3] = torch.tensor([2.0, 0, 0]), torch.tensor([1.0, 1.0, 0])
    a, b = x[0] / math.sqrt(2), y[0] / math.sqrt(2)
    shift = (x.mean(0) - y.mean(0)).square().sum()
    expected = shift + a.square().sum() + b.square().sum() - 2 * (a @ b).abs()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("shape", [(300, 16), (20, 300)])
def test_frechet_of_a_set_with_itself_is_zero(shape):
    x = normal(*shape) + 100
    assert 0 <= frechet_distance(x, x) < 1e-10 * float(x.var(0).sum())
    assert frechet_distance(x, x.flip(0)) < 1e-10 * float(x.var(0).sum())


@settings(max_examples=examples(25), deadline=None)
@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_frechet_is_symmetric_and_follows_scale_rotation_and_shift(shift, scale, seed):
    x, y = normal(40, 5, seed=seed), normal(30, 5, seed=seed + 100) * 2 + shift
    distance = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(distance, rel=1e-9)
    turn = rotation(5, seed) * scale
    assert frechet_distance(x @ turn + 7, y @ turn + 7) == pytest.approx(
        scale**2 * distance, rel=1e-9
    )


def test_moments_must_be_a_covariance():
    with pytest.raises(ValueError, match="covariance: expected a positive semidefinite"):
        gaussian_of_moments(torch.zeros(2), torch.diag(torch.tensor([1.0, -1.0])))
    with pytest.raises(ValueError, match=r"covariance: expected shape \(2, 2\)"):
        gaussian_of_moments(torch.zeros(2), torch.eye(3))
    x = normal(50, 4)
    again = gaussian_of_moments(x.mean(0), x.T.cov())
    assert gaussian_distance(again, fit_gaussian(x)) < 1e-12


def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def direct_mmd(x, y):
    """The squared MMD over all pairs of different samples, one by one."""
    within = [
        np.mean([float(kernel(a[None], b[None])) for a, b in itertools.permutations(z, 2)])
        for z in (x, y)
    ]
    return sum(within) - 2 * float(kernel(x, y).mean())


def test_kernel_distance_is_the_direct_mmd():
    x, y = normal(12, 4), normal(9, 4, seed=1) + 0.5
    assert kernel_distance(x, y).distance == pytest.approx(direct_mmd(x, y), rel=1e-12)


def test_kernel_error_is_the_jackknife_one_sample_at_a_time():
    x, y = normal(12, 4), normal(9, 4, seed=1) + 0.5

    def left_out(z, index):
        return torch.cat([z[:index], z[index + 1 :]])

    over_x = [direct_mmd(left_out(x, i), y) for i in range(len(x))]
    over_y = [direct_mmd(x, left_out(y, i)) for i in range(len(y))]
    variance = sum((len(v) - 1) * np.var(v) for v in (over_x, over_y))
    assert kernel_distance(x, y).standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize(("shift", "low", "high"), [(0.5, 0.85, 1.2), (0.0, 1.1, 1.6)])
def test_kernel_error_is_that_of_repetitions(shift, low, high):
    # if the distributions are equal, the jackknife gives √2 times the error
    runs = [
        kernel_distance(normal(100, 4, seed=2 * s), normal(100, 4, seed=2 * s + 1) + shift)
        for s in range(150)
    ]
    distances = np.array([run.distance for run in runs])
    estimated = math.sqrt(np.mean([run.standard_error**2 for run in runs]))
    assert low < estimated / distances.std(ddof=1) < high
    if shift == 0:
        assert abs(distances.mean()) < 4 * distances.std() / math.sqrt(len(runs))


def test_kernel_distance_agrees_with_torchmetrics():
    x, y = normal(200, 16), normal(200, 16, seed=1) + 0.3
    metric = by_torchmetrics(
        "KernelInceptionDistance", feature=Features(16), subsets=2, subset_size=200
    )
    with torch.random.fork_rng(devices=[]):
        metric.update(x, real=True)
        metric.update(y, real=False)
        theirs, _ = metric.compute()
    assert kernel_distance(x, y).distance == pytest.approx(float(theirs), rel=1e-5)


def test_inception_score_is_one_for_equal_and_all_classes_for_sure_and_even_ones():
    assert inception_score(torch.zeros(40, 7)).score == pytest.approx(1, abs=1e-12)
    sure = 1000 * torch.eye(5).repeat(20, 1)
    found = inception_score(sure, splits=4)
    assert found.score == pytest.approx(5, rel=1e-12)
    assert found.deviation == pytest.approx(0, abs=1e-12)


def test_inception_score_is_the_direct_form():
    logits = normal(60, 5) * 3
    scores = []
    for part in logits.split(20):
        p = part.softmax(1)
        divergences = [(row * (row / p.mean(0)).log()).sum() for row in p]
        scores.append(math.exp(np.mean(divergences)))
    found = inception_score(logits, splits=3)
    assert found.score == pytest.approx(np.mean(scores), rel=1e-12)
    assert found.deviation == pytest.approx(np.std(scores), rel=1e-9)


def test_inception_score_agrees_with_torchmetrics():
    logits = normal(100, 10)
    metric = by_torchmetrics("InceptionScore", feature=Features(10), splits=1)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # the standard deviation over one split
        warnings.simplefilter("ignore", UserWarning)
        metric.update(logits)
        theirs, _ = metric.compute()
    assert inception_score(logits, splits=1).score == pytest.approx(float(theirs), rel=1e-6)
