"""Overlap of sets of features against direct O(n²) forms, and input that metrics refuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from helpers.examples import examples
from helpers.features import normal
from sngan.data import MIXTURES, open_source
from sngan.metrics import (
    class_coverage,
    copying_ratio,
    features,
    frechet_distance,
    kernel_distance,
    kl_divergence,
    manifold,
    mixture_coverage,
    nearest_neighbours,
)


def direct_manifold(generated, real, k, j):
    generated, real = generated.numpy(), real.numpy()
    between = cdist(generated, real)
    narrow, wide = (np.sort(cdist(real, real), axis=1)[:, number] for number in (k, j))
    reach = np.sort(cdist(generated, generated), axis=1)[:, k]
    return (
        (between <= narrow).any(axis=1).mean(),
        (between <= reach[:, None]).any(axis=0).mean(),
        (between <= wide).sum(axis=1).mean() / j,
        (between <= wide).any(axis=0).mean(),
    )


@pytest.mark.parametrize("block", [1, 700, 2**23])
@pytest.mark.parametrize("shift", [0.0, 1.0, 30.0])
def test_manifold_is_the_direct_form(monkeypatch, block, shift):
    monkeypatch.setattr(features, "BLOCK", block)
    real, generated = normal(120, 6), normal(90, 6, seed=1) * 0.7 + shift
    found = manifold(generated, real, precision_neighbours=3, density_neighbours=4)
    assert found == pytest.approx(direct_manifold(generated, real, 3, 4), abs=1e-12)
    assert (shift == 30) == (found.precision == 0)


def test_manifold_of_a_set_with_itself_is_full():
    x = normal(80, 5)
    found = manifold(x, x)
    assert found.precision == found.recall == found.coverage == 1
    # a ball holds k neighbours and the sample itself on average, ties included
    assert found.density == pytest.approx(6 / 5, abs=1e-12)


def test_manifold_tells_collapse_from_noise():
    real = normal(200, 2)
    collapsed = manifold(real[:1] + 1e-3 * normal(200, 2, seed=1), real)
    assert collapsed.precision > 0.9
    assert collapsed.recall < 0.05
    assert collapsed.coverage < 0.1
    spread = manifold(real + 5 * normal(200, 2, seed=2), real)
    assert spread.precision < 0.4
    assert spread.recall > 0.7


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-6, 1e6), shift=st.floats(-3, 3))
def test_manifold_does_not_see_scale_and_shift(seed, scale, shift):
    x, y = normal(40, 3, seed=seed), normal(40, 3, seed=seed + 1000) + 0.5
    moved = manifold(x * scale + shift * scale, y * scale + shift * scale)
    assert moved == pytest.approx(manifold(x, y), abs=1e-12)


@pytest.mark.parametrize("block", [1, 700, 2**23])
def test_nearest_neighbours_are_the_direct_ones(monkeypatch, block):
    monkeypatch.setattr(features, "BLOCK", block)
    x, y = normal(30, 6), normal(100, 6, seed=1)
    distances = cdist(x.numpy(), y.numpy())
    for real in (y, y.split(7)):
        found = nearest_neighbours(x, real, count=9)
        assert np.array_equal(found.indices, np.argsort(distances, axis=1)[:, :9])
        assert found.distances.numpy() == pytest.approx(np.sort(distances, axis=1)[:, :9])


def test_copies_are_found_at_distance_zero():
    real = normal(500, 64, dtype=torch.float32) + 50
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    found = nearest_neighbours(real[order], real)
    assert torch.equal(found.indices[:, 0], order)
    assert found.distances.eq(0).all()
    assert copying_ratio(real[order], real) == 0
    fresh = normal(500, 64, seed=7, dtype=torch.float32) + 50
    assert copying_ratio(fresh, real) == pytest.approx(1, abs=0.03)


def test_neighbours_are_asked_for_in_bounds():
    with pytest.raises(ValueError, match="real: expected at least 5 samples, got 4"):
        nearest_neighbours(normal(3, 2), normal(4, 2), count=5)
    with pytest.raises(ValueError, match="real: expected at least 2 samples, got 1"):
        copying_ratio(normal(3, 2), normal(1, 2))


def test_samples_of_a_mixture_cover_it():
    for name, mixture in MIXTURES.items():
        points = open_source(name).samples
        found = mixture_coverage(points, mixture)
        assert found.covered == found.total == len(mixture.centres)
        # a Rayleigh variable passes 3 with probability exp(−9/2)
        assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.003)
        assert found.divergence < len(mixture.centres) / len(points)


def test_a_missed_mode_and_bad_samples_are_told():
    mixture = MIXTURES["ring8"]
    points = mixture.centres[[0, 0, 0, 1]].clone()
    points[3] += 4 * mixture.std * torch.tensor([1.0, 0])
    found = mixture_coverage(points, mixture)
    assert found.covered == 1
    assert found.high_quality == 0.75
    expected = 0.75 * math.log(0.75 * 8) + 0.25 * math.log(0.25 * 8)
    assert found.divergence == pytest.approx(expected, rel=1e-9)
    assert found.smallest_share == 0


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("seed", range(4))
def test_the_figures_of_known_counts_are_the_closed_forms(name, seed):
    mixture = MIXTURES[name]
    total = len(mixture.centres)
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(seed % 2, 40, (total,), generator=generator)
    near = mixture.centres.repeat_interleave(counts, 0)
    # two samples of each mode lie just inside and just outside 3 σ
    shift = torch.tensor([mixture.std, 0.0])
    edge = torch.cat([mixture.centres + 2.99 * shift, mixture.centres + 3.01 * shift])
    found = mixture_coverage(torch.cat([near, edge]), mixture)
    share = (counts + 2).double() / (counts + 2).sum()
    assert found.covered == total
    assert found.high_quality == pytest.approx(1 - total / (int(counts.sum()) + 2 * total))
    assert found.smallest_share == pytest.approx(float(share.min()), rel=1e-12)
    entropy = -float((share * share.log()).sum())
    assert found.divergence == pytest.approx(math.log(total) - entropy, rel=1e-9, abs=1e-12)


def test_the_divergence_of_a_fair_sample_is_its_known_bias():
    mixture = MIXTURES["grid25"]
    generator = torch.Generator().manual_seed(0)
    found = [
        mixture_coverage(mixture.centres[torch.randint(25, (2500,), generator=generator)], mixture)
        for _ in range(50)
    ]
    mean = sum(one.divergence for one in found) / len(found)
    assert mean == pytest.approx(24 / 5000, rel=0.2)


def test_divergence_of_histograms():
    assert kl_divergence(torch.tensor([3, 3]), torch.tensor([5.0, 5.0])) == 0
    assert kl_divergence(torch.tensor([4, 0]), torch.tensor([1, 1])) == pytest.approx(math.log(2))
    assert kl_divergence(torch.tensor([1, 1]), torch.tensor([1, 0])) == math.inf
    smooth = kl_divergence(torch.tensor([1, 1]), torch.tensor([1, 0]), smoothing=0.5)
    assert smooth == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    for counts in ([0, 0], [2, -1]):
        with pytest.raises(ValueError, match="counts: expected numbers of at least 0"):
            kl_divergence(torch.tensor(counts), torch.tensor([1, 1]))
    with pytest.raises(ValueError, match=r"counts: expected shape \(2,\), got \(3,\)"):
        kl_divergence(torch.tensor([0, 0, 1]), torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="classes: expected integers from 0 to 1, got 2"):
        class_coverage(torch.tensor([2]), torch.tensor([1, 1]))


@pytest.mark.parametrize(
    ("metric", "minimum"),
    [(frechet_distance, 2), (kernel_distance, 3), (manifold, 6)],
)
def test_too_few_samples_are_named(metric, minimum):
    metric(normal(minimum, 3), normal(minimum, 3, seed=1))
    few = normal(minimum - 1, 3)
    with pytest.raises(ValueError, match=f"generated: expected at least {minimum} samples, got"):
        metric(few, normal(9, 3))
    with pytest.raises(ValueError, match=f"real: expected at least {minimum} samples, got"):
        metric(normal(9, 3), few)


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, manifold])
def test_features_must_fit(metric):
    with pytest.raises(ValueError, match="generated: expected features of dimension 3, as real"):
        metric(normal(9, 2), normal(9, 3))
    with pytest.raises(ValueError, match=r"generated: expected floating-point features \(n, d\)"):
        metric(normal(9, 2, 2), normal(9, 3))
    with pytest.raises(ValueError, match="generated: expected floating-point features"):
        metric(torch.ones(9, 3, dtype=torch.int64), normal(9, 3))
    with pytest.raises(ValueError, match="real: expected finite features, got nan or inf"):
        metric(normal(9, 3), torch.full((9, 3), math.nan))


def test_constant_sets_have_defined_values():
    same, other = torch.full((10, 4), 2.0), torch.full((10, 4), 3.0)
    assert frechet_distance(same, same) == 0
    assert frechet_distance(same, other) == pytest.approx(4)
    assert kernel_distance(same, same) == pytest.approx((0, 0), abs=1e-12)
    assert manifold(same, same)[:2] == (1, 1)
    assert manifold(same, other) == (0, 0, 0, 0)
