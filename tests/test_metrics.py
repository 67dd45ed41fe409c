"""Metrics against closed forms, direct O(n²) forms and other people's code."""

import importlib
import itertools
import json
import math
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from sngan.data import MIXTURES, Dataset, open_source
from sngan.metrics import (
    HIGHER_IS_BETTER,
    Evaluator,
    _features,
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


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rotation(size, seed=0):
    return torch.linalg.qr(normal(size, size, seed=seed)).Q


class Features(torch.nn.Module):
    """What torchmetrics takes for an extractor: here its input already is the features."""

    def __init__(self, size):
        super().__init__()
        self.num_features = size

    def forward(self, x):
        return x


def by_torchmetrics(name, **options):
    # without torch-fidelity the folder itself does not list them
    home = {"FrechetInceptionDistance": "fid", "KernelInceptionDistance": "kid"}
    module = importlib.import_module(f"torchmetrics.image.{home.get(name, 'inception')}")
    with warnings.catch_warnings():
        # of the memory that all features take
        warnings.simplefilter("ignore", UserWarning)
        return getattr(module, name)(**options)


# --- Fréchet ------------------------------------------------------------------------------------


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


@settings(max_examples=25, deadline=None)
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


# --- kernel distance ----------------------------------------------------------------------------


def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def direct_mmd(x, y):
    """Over all pairs of different samples, one by one."""
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
    # where the distributions agree the jackknife tells √2 times the error
    runs = [
        kernel_distance(normal(100, 4, seed=2 * s), normal(100, 4, seed=2 * s + 1) + shift)
        for s in range(150)
    ]
    distances = np.array([run.distance for run in runs])
    told = math.sqrt(np.mean([run.standard_error**2 for run in runs]))
    assert low < told / distances.std(ddof=1) < high
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


# --- Inception Score ----------------------------------------------------------------------------


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
        # a standard deviation over one split
        warnings.simplefilter("ignore", UserWarning)
        metric.update(logits)
        theirs, _ = metric.compute()
    assert inception_score(logits, splits=1).score == pytest.approx(float(theirs), rel=1e-6)


# --- precision, recall, density, coverage -------------------------------------------------------


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
    monkeypatch.setattr(_features, "BLOCK", block)
    real, generated = normal(120, 6), normal(90, 6, seed=1) * 0.7 + shift
    found = manifold(generated, real, precision_neighbours=3, density_neighbours=4)
    assert found == pytest.approx(direct_manifold(generated, real, 3, 4), abs=1e-12)
    assert (shift == 30) == (found.precision == 0)


def test_manifold_of_a_set_with_itself_is_full():
    x = normal(80, 5)
    found = manifold(x, x)
    assert found.precision == found.recall == found.coverage == 1
    # k neighbours and the sample itself, on average; ties of the outermost counted
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


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-6, 1e6), shift=st.floats(-3, 3))
def test_manifold_does_not_see_scale_and_shift(seed, scale, shift):
    x, y = normal(40, 3, seed=seed), normal(40, 3, seed=seed + 1000) + 0.5
    moved = manifold(x * scale + shift * scale, y * scale + shift * scale)
    assert moved == pytest.approx(manifold(x, y), abs=1e-12)


# --- nearest neighbours -------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 700, 2**23])
def test_nearest_neighbours_are_the_direct_ones(monkeypatch, block):
    monkeypatch.setattr(_features, "BLOCK", block)
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


# --- modes --------------------------------------------------------------------------------------


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
        class_coverage(torch.tensor([2]), torch.tensor([1, 1]))


# --- degenerate and wrong inputs ----------------------------------------------------------------


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


# --- the evaluator ------------------------------------------------------------------------------


def noise_images(count, *, channels=1, seed=0):
    return normal(count, channels, 8, 8, seed=seed, dtype=torch.float32).tanh()


def unlabelled(count=40, channels=3):
    pixels = torch.randint(
        256, (count, channels, 8, 8), generator=torch.Generator().manual_seed(3), dtype=torch.uint8
    )
    return Dataset("noise", pixels)


EVERYWHERE = {
    *("frechet", "kernel", "kernel_error", "w1", "sliced_w1", "precision", "recall"),
    *("density", "coverage", "memorized_distance"),
}
CLASSIFIED = {"inception_score", "inception_score_deviation"}
BY_SOURCE = {
    "swissroll": set(),
    "ring8": {"modes", "modes_of", "high_quality", "reverse_kl"},
    "digits": CLASSIFIED | {"classes", "classes_of", "class_kl"},
    "stacked-digits": CLASSIFIED | {"modes", "modes_of", "reverse_kl"},
}


@pytest.mark.parametrize("source", BY_SOURCE)
def test_only_what_applies_is_told_and_real_samples_do_well(source):
    dataset = open_source(source)
    evaluator = Evaluator(dataset, samples=300)
    fresh = evaluator(dataset.values(torch.arange(len(dataset) - 300, len(dataset))))
    assert set(fresh.values) == EVERYWHERE | BY_SOURCE[source]
    assert set(HIGHER_IS_BETTER) >= set(fresh.values) - {
        *("kernel_error", "inception_score_deviation", "memorized_distance"),
        *("modes_of", "classes_of"),
    }
    noise = torch.rand(300, *dataset.sample_shape, generator=torch.Generator().manual_seed(1))
    worse = evaluator(noise)
    for name in set(fresh.values) & set(HIGHER_IS_BETTER) - {"recall", "classes", "modes"}:
        difference = fresh.values[name] - worse.values[name]
        assert difference > 0 if HIGHER_IS_BETTER[name] else difference < 0, name
    assert fresh.n_generated == fresh.n_real == 300
    assert fresh.reference == worse.reference


def test_the_record_holds_the_conditions():
    dataset = open_source("ring8")
    result = Evaluator(dataset, samples=50, split="test")(dataset.samples[:20])
    assert (result.extractor, result.n_generated, result.n_real, result.split) == (
        *("points", 20, 50),
        "test",
    )
    assert result.accuracy is None
    record = json.loads(json.dumps(result.to_dict()))
    assert record["values"] == result.values
    lines = result.table().splitlines()
    assert lines[0] == "20 generated against 50 real samples (test) by points"
    assert len(lines) == 1 + len(result.values)
    assert "lower is better" in next(line for line in lines if "frechet" in line)
    other = Evaluator(dataset, samples=50, split="test", seed=1)(dataset.samples[:20])
    assert other.reference != result.reference


@pytest.mark.parametrize("source", ["ring8", "digits"])
def test_evaluation_repeats_and_leaves_the_global_generator_alone(source):
    dataset = open_source(source)
    before = torch.get_rng_state()
    samples = dataset.values(torch.arange(100))
    runs = [Evaluator(dataset, samples=100)(samples) for _ in range(2)]
    assert runs[0].to_dict() == runs[1].to_dict()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_transport_is_of_as_many_samples_as_it_says(monkeypatch):
    monkeypatch.setattr("sngan.metrics.evaluator._TRANSPORT", 30)
    dataset = open_source("ring8")
    result = Evaluator(dataset, samples=100)(dataset.samples[:80])
    assert result.n_transport == 30


def test_classes_are_told_whatever_the_extractor():
    dataset = open_source("digits")
    samples = dataset.values(torch.arange(200))
    pixels = Evaluator(dataset, "pixels", samples=200)(samples)
    domain = Evaluator(dataset, samples=200)(samples)
    assert pixels.extractor == "pixels"
    assert pixels.values["class_kl"] == domain.values["class_kl"]
    assert pixels.accuracy == domain.accuracy
    assert "inception_score" not in pixels.values
    assert pixels.values["frechet"] != domain.values["frechet"]
    ones = dataset.values((dataset.labels == 1).nonzero()[:100, 0])
    collapsed = Evaluator(dataset, samples=100)(ones)
    assert collapsed.values["classes"] <= 3
    assert collapsed.values["class_kl"] > 1.5


def test_unlabelled_images_are_compared_by_pixels():
    dataset = unlabelled()
    result = Evaluator(dataset)(noise_images(20, channels=3))
    assert result.extractor == "pixels"
    assert set(result.values) == EVERYWHERE


def test_images_are_compared_as_they_would_be_saved():
    dataset = unlabelled()
    evaluator = Evaluator(dataset)
    samples = dataset.values(torch.arange(40))
    off_grid = (samples + 0.4 / 127.5).clamp(-1, 1)
    assert evaluator(off_grid).values == evaluator(samples).values
    assert evaluator(samples).values["memorized_distance"] == 0


def test_constant_images_are_evaluated():
    result = Evaluator(unlabelled())(torch.zeros(20, 3, 8, 8))
    assert result.values["precision"] in (0, 1)
    assert all(math.isfinite(value) for value in result.values.values())
    constant = Dataset("grey", torch.full((20, 1, 8, 8), 128, dtype=torch.uint8))
    values = Evaluator(constant)(torch.zeros(20, 1, 8, 8) + 1 / 255).values
    assert values["frechet"] == pytest.approx(0, abs=1e-12)
    assert "memorized_distance" not in values


def test_nearest_searches_the_whole_data_set(monkeypatch):
    monkeypatch.setattr("sngan.metrics.evaluator._PART", 400)
    dataset = open_source("digits")
    chosen = torch.tensor([3, 1700, 900])
    found = Evaluator(dataset, "pixels", samples=20).nearest(dataset.values(chosen), count=2)
    assert torch.equal(found.indices[:, 0], chosen)
    assert found.distances[:, 0].eq(0).all()
    assert found.distances[:, 1].gt(0).all()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(1, 3, 8, 8), "samples: expected at least 10 of them, got 1"),
        (torch.zeros(20, 1, 8, 8), r"samples: expected floats of shape \(n, 3, 8, 8\), got"),
        (torch.zeros(20, 3, 8, 8, dtype=torch.uint8), "samples: expected floats of shape"),
        (torch.full((20, 3, 8, 8), math.nan), "samples: expected finite values, got nan or inf"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        Evaluator(unlabelled())(samples)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="samples: expected an integer of at least 10, got 5"):
        Evaluator(unlabelled(), samples=5)
    with pytest.raises(ValueError, match="dataset: expected at least 10 samples, got 4"):
        Evaluator(unlabelled(4))
    with pytest.raises(ValueError, match=r"extractor: expected one of .*did you mean inception"):
        Evaluator(unlabelled(), "incepton")
    with pytest.raises(ValueError, match="extractor: expected pixels, domain or inception"):
        Evaluator(unlabelled(), "points")
    with pytest.raises(ValueError, match="got pixels for points"):
        Evaluator(open_source("ring8"), "pixels")


def test_progress_counts_the_real_samples():
    seen = []
    Evaluator(unlabelled(300), samples=200, progress=lambda *at: seen.append(at))
    assert seen == [(128, 200), (200, 200)]
