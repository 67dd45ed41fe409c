"""FD∞, MIND, FLD and AuthPct, against closed forms, SciPy, NumPy, and cases made to break them."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from scipy.spatial.distance import cdist

from helpers.features import normal
from sngan.metrics import (
    authpct,
    frechet_distance,
    frechet_infinity,
    likelihood_divergence,
    mind,
)


def frechet_by_scipy(x, y):
    shift = x.mean(0) - y.mean(0)
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(first @ second).real
    return shift @ shift + np.trace(first + second - 2 * root)


def test_fd_infinity_is_the_intercept_of_a_line_fitted_by_scipy():
    """All rows are equal, so parts of N rows differ only in number, whichever are drawn."""
    rows = np.random.default_rng(0).standard_normal((4, 2))
    x = np.tile(rows, (100, 1))
    y = np.random.default_rng(1).standard_normal((500, 2))
    found = frechet_infinity(x, y)
    counts = np.linspace(40, 400, 15).astype(int)
    random = np.random.default_rng(2)
    intercepts = []
    for _ in range(12):
        values = [frechet_by_scipy(x[random.permutation(400)[:n]], y) for n in counts]
        intercepts.append(stats.linregress(1 / counts, values).intercept)
    assert found == pytest.approx(np.mean(intercepts), abs=5 * np.std(intercepts))
    # for a part of all rows, the bias of the covariance n/(n − 1) is all that is left
    assert found == pytest.approx(frechet_by_scipy(x, y), rel=0.05)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_fd_infinity_has_less_bias_than_the_distance_of_all_samples(shift):
    """Gaussians with unit covariances: the distance is d·shift²."""
    d, truth = 24, 24 * shift**2
    real = normal(20_000, d, seed=99)
    errors, biases = [], []
    for seed in range(8):
        generated = normal(400, d, seed=seed) + shift
        errors.append(frechet_infinity(generated, real, seed=seed) - truth)
        biases.append(frechet_distance(generated, real) - truth)
    assert np.mean(biases) > 0.3
    assert abs(np.mean(errors)) < 0.3 * np.mean(biases)


def test_more_samples_than_features_are_not_needed_and_seeds_repeat():
    x, y = normal(30, 50), normal(40, 50, seed=1)
    assert math.isfinite(frechet_infinity(x, y))
    assert frechet_infinity(x, y, seed=1) == frechet_infinity(x, y, seed=1)
    assert frechet_infinity(x, y, seed=1) != frechet_infinity(x, y, seed=2)


def mind_by_numpy(x, y, directions):
    """The published definition, for sets of equal size."""
    left, right = np.sort(x @ directions.T, axis=0), np.sort(y @ directions.T, axis=0)
    return 3 * x.shape[1] * np.mean((left - right) ** 2)


def test_mind_is_its_definition():
    x, y = normal(200, 6).numpy(), 1.5 * normal(200, 6, seed=1).numpy() + 0.3
    directions = np.random.default_rng(7).standard_normal((4000, 6))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = mind_by_numpy(x, y, directions)
    assert mind(x, y, projections=4000) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("d", [1, 5, 40])
def test_mind_of_a_shift_and_of_a_scale_in_closed_form(d):
    """A shift gives 3|δ|²; a scale s of points with mean square 1 a coordinate 3d(s − 1)²."""
    x = normal(400, d)
    shift = torch.full((d,), 2.0, dtype=torch.float64)
    assert mind(x + shift, x, projections=8000) == pytest.approx(3 * 4 * d, rel=0.06)
    expected = 3 * 1.5**2 * float(x.square().sum(1).mean())
    assert mind(2.5 * x, x, projections=8000) == pytest.approx(expected, rel=0.02)
    assert mind(x, x) == 0


def test_mind_sees_what_a_mean_and_a_covariance_hide():
    """A mixture with the moments of a Gaussian: the Fréchet distance is blind, MIND is not."""
    gaussian = normal(4000, 1)
    signs = normal(4000, 1, seed=1).sign()
    other = 0.9 * signs + (1 - 0.81) ** 0.5 * normal(4000, 1, seed=2)
    fresh = normal(4000, 1, seed=3)
    assert frechet_distance(other, gaussian) < 0.01
    assert mind(other, gaussian) > 10 * mind(fresh, gaussian)


def fld_by_numpy(generated, train, held_out, *, halves):
    """The authors' procedure with gradients by hand, and Adam's formulas."""
    deviation = held_out.std(0, ddof=1)
    x, known, unseen = (part / deviation for part in (generated, train, held_out))
    first, second = halves

    def gaussians(squared, log_variance, d):
        return -0.5 * squared / np.exp(log_variance) - d / 2 * (
            log_variance + math.log(2 * math.pi)
        )

    def nll(centres, fitted_to):
        m, d = centres.shape
        squared = cdist(fitted_to, centres) ** 2
        mean = 0.81 * ((fitted_to - fitted_to.mean(0)) ** 2).sum(1, keepdims=True)
        both = np.concatenate([squared, mean], 1)
        values = np.append(np.log((squared.min(0) + 1e-3) / d), 0.0)
        weights = np.append(np.full(m, -math.log(m)), 0.0)
        momentum, second_moment = np.zeros(m + 1), np.zeros(m + 1)
        for step in range(1, 51):
            terms = gaussians(both, values, d) + weights
            share = np.exp(terms - terms.max(1, keepdims=True))
            share /= share.sum(1, keepdims=True)
            slope = 0.5 * both / np.exp(values) - d / 2
            gradient = -(share * slope).mean(0) / d
            momentum = 0.9 * momentum + 0.1 * gradient
            second_moment = 0.999 * second_moment + 0.001 * gradient**2
            rise = momentum / (1 - 0.9**step)
            values = values - 0.5 * rise / (np.sqrt(second_moment / (1 - 0.999**step)) + 1e-8)
            values[:m] = values[:m].clip(-40, 20)
        terms = gaussians(cdist(unseen, centres) ** 2, values[:m], d) - math.log(m)
        top = terms.max(1)
        return -(np.log(np.exp(terms - top[:, None]).sum(1)) + top).mean()

    return 100 / x.shape[1] * (nll(x, known) - nll(known[first], known[second]))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_fld_is_the_procedure_of_its_authors(shift):
    generated, train, held_out = (normal(n, 5, seed=n).numpy() for n in (40, 60, 50))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3)).numpy()
    halves = order[:30], order[30:]
    expected = fld_by_numpy(generated + shift, train, held_out, halves=halves)
    found = likelihood_divergence(generated + shift, train, held_out, seed=3)
    assert found == pytest.approx(expected, rel=1e-6)


def test_fld_punishes_copies_shifts_and_missing_modes():
    train, held_out, fresh = (normal(300, 6, seed=seed) for seed in range(3))

    def fld(generated):
        return likelihood_divergence(generated, train, held_out)

    perfect = fld(fresh)
    assert abs(perfect) < 15
    assert fld(fresh + 0.7) > perfect + 5
    apart = 6 * torch.ones(6, dtype=torch.float64)
    two = [torch.cat([part[:150] - apart, part[150:] + apart]) for part in (train, held_out)]
    both, one = (torch.cat([fresh[:150] + apart * sign, fresh[150:] + apart]) for sign in (-1, 1))
    assert likelihood_divergence(one, *two) > likelihood_divergence(both, *two) + 10
    copies, near = fld(train), fld(train + 1e-3 * fresh)
    assert copies > near > perfect + 100
    half = torch.cat([train[:150], fresh[:150]])
    assert perfect + 5 < fld(half) < copies
    # a feature that never changes has no deviation to divide by
    constant = torch.ones(300, 1, dtype=torch.float64)
    widened = [torch.cat([part, constant], 1) for part in (fresh, train, held_out)]
    assert math.isfinite(likelihood_divergence(*widened))


@pytest.mark.parametrize(
    ("d", "share"),
    [(1, 2 / 3), (2, 6 * math.pi / (8 * math.pi + 3 * math.sqrt(3))), (3, 16 / 27)],
)
def test_authpct_of_new_samples_in_closed_form(d, share):
    """The share of points in pairs of mutual nearest neighbours: Pickard 1982."""
    real, x = (torch.rand(1500, d, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert authpct(x, real) == pytest.approx(100 * (1 - share), abs=5)


def test_authpct_is_its_definition_and_finds_copies():
    x, y = normal(80, 3).numpy(), normal(60, 3, seed=1).numpy()
    among, between = cdist(y, y), cdist(x, y)
    np.fill_diagonal(among, np.inf)
    expected = np.mean([among[row.argmin()].min() < row.min() for row in between])
    assert authpct(x, y) == pytest.approx(100 * expected, abs=1e-9)
    fresh = authpct(x, y)
    half = np.concatenate([y[:40] + 1e-6, x[:40]])
    assert authpct(y + 1e-6, y) == 0
    assert authpct(half, y) < 0.75 * fresh
    assert authpct(x + 100, y) == 100


CALLS = {
    "frechet_infinity": lambda x, y: frechet_infinity(x, y),
    "mind": lambda x, y: mind(x, y),
    "authpct": lambda x, y: authpct(x, y),
    "fld": lambda x, y: likelihood_divergence(x, y, y),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_input_is_one_line(name):
    good = normal(12, 3)
    for x, y, said in [
        (normal(12, 2), good, "generated: expected features of dimension 3"),
        (good, good * math.nan, "(real|held_out): expected finite features"),
        (good[:0], good, "generated: expected"),
        (good, good[:1] if name != "mind" else good[:0], "(real|held_out): expected"),
        (good.long(), good, "generated: expected floating-point features"),
    ]:
        with pytest.raises(ValueError, match=f"^{said}") as raised:
            CALLS[name](x, y)
        assert "\n" not in str(raised.value)
