"""Evaluator: the metrics of each kind of data, and the samples that it refuses."""

import json
import math

import pytest
import torch

from helpers.features import normal
from sngan.config import EvaluationConfig
from sngan.data import Dataset, open_source
from sngan.metrics import HIGHER_IS_BETTER, Evaluator, frechet_distance
from sngan.metrics.meaning import MEANINGS
from sngan.transport import wasserstein

pytestmark = pytest.mark.usefixtures("shared_cache")


def noise_images(count, *, channels=1, seed=0):
    return normal(count, channels, 8, 8, seed=seed, dtype=torch.float32).tanh()


def unlabelled(count=40, channels=3):
    pixels = torch.randint(
        256, (count, channels, 8, 8), generator=torch.Generator().manual_seed(3), dtype=torch.uint8
    )
    return Dataset("noise", pixels)


EVERYWHERE = {
    *("frechet", "kernel", "kernel_error", "w1", "sliced_w1", "precision", "recall"),
    *("density", "coverage", "memorized_distance", "mind", "authpct"),
    *("w1_lower", "w1_upper", "w1_held_out"),
}
CLASSIFIED = {"inception_score", "inception_score_deviation"}
BY_SOURCE = {
    "swissroll": set(),
    "ring8": {"modes", "modes_of", "high_quality", "reverse_kl", "smallest_share"},
    "digits": CLASSIFIED | {"classes", "classes_of", "class_kl"},
    "stacked-digits": CLASSIFIED | {"modes", "modes_of", "reverse_kl"},
}


@pytest.mark.parametrize("source", BY_SOURCE)
def test_only_metrics_that_apply_are_computed_and_real_samples_do_well(source):
    dataset = open_source(source)
    evaluator = Evaluator(dataset, samples=300)
    fresh = evaluator(dataset.values(torch.arange(len(dataset) - 300, len(dataset))))
    assert set(fresh.values) == EVERYWHERE | BY_SOURCE[source]
    assert set(HIGHER_IS_BETTER) >= set(fresh.values) - {
        *("kernel_error", "inception_score_deviation", "memorized_distance", "authpct"),
        *("modes_of", "classes_of", "w1_lower", "w1_upper", "w1_held_out"),
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
    assert len(lines) == 2 + len(result.values)
    words = next(line for line in lines if "frechet" in line).split()
    assert words[2:5] == ["–", "lower", "distance"]
    other = Evaluator(dataset, samples=50, split="test", seed=1)(dataset.samples[:20])
    assert other.reference != result.reference


@pytest.mark.parametrize("source", BY_SOURCE)
def test_every_metric_says_in_words_what_it_is(source):
    assert set(MEANINGS) >= EVERYWHERE | BY_SOURCE[source]


def test_real_samples_against_real_ones_are_two_halves():
    dataset = open_source("ring8")
    evaluator = Evaluator(dataset, samples=300)
    found = evaluator.real_against_real()
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    first, second = (dataset.samples[part].double() for part in order[:600].split(300))
    assert found.n_generated == found.n_real == 300
    assert found.values["w1"] == pytest.approx(wasserstein(second, first).distance, rel=1e-6)
    assert found.values["frechet"] == pytest.approx(frechet_distance(second, first), rel=1e-6)
    # the evaluator itself is as before
    assert evaluator(dataset.samples[:300]).n_real == 300
    result = evaluator(dataset.samples[:100]).with_baseline(found)
    record = json.loads(json.dumps(result.to_dict()))
    assert record["real_against_real"] == found.values
    assert record["n_real_against_real"] == 300
    assert "two halves of the data against each other, 300 samples each" in result.table()


@pytest.mark.parametrize(("size", "half"), [(400, 50), (99, 49), (21, 10), (19, None)])
def test_halves_are_as_large_as_the_data_allows(size, half):
    points = Dataset("few", torch.randn(size, 2, generator=torch.Generator().manual_seed(0)))
    found = Evaluator(points, samples=50).real_against_real()
    assert (found and (found.n_generated, found.n_real)) == (half and (half, half))


def test_an_earlier_run_keeps_its_features():
    pixels = (torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    dataset = Dataset("few", pixels)
    early = EvaluationConfig(samples=20, features=1)
    evaluator = Evaluator.from_settings(dataset, early, seed=0, split="train")
    result = evaluator(dataset.values(torch.arange(20)))
    assert result.extractor == "pixels"


@pytest.mark.parametrize("source", ["ring8", "digits"])
def test_evaluation_repeats_and_leaves_the_global_generator_alone(source):
    dataset = open_source(source)
    before = torch.get_rng_state()
    samples = dataset.values(torch.arange(100))
    runs = [Evaluator(dataset, samples=100)(samples) for _ in range(2)]
    assert runs[0].to_dict() == runs[1].to_dict()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_transport_is_of_as_many_samples_as_it_says(monkeypatch):
    monkeypatch.setattr("sngan.metrics.evaluator.TRANSPORT", 30)
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


def test_unlabelled_images_are_compared_by_features_of_their_own():
    dataset = unlabelled()
    result = Evaluator(dataset)(noise_images(20, channels=3))
    assert result.extractor == "domain (self-supervised)"
    assert set(result.values) == EVERYWHERE
    few = Evaluator(unlabelled(19))(noise_images(10, channels=3))
    assert few.extractor == "pixels"


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
    with pytest.raises(ValueError, match="extractor: expected pixels, domain, inception, dinov2"):
        Evaluator(unlabelled(), "points")
    with pytest.raises(ValueError, match="got pixels for points"):
        Evaluator(open_source("ring8"), "pixels")


def test_progress_counts_the_real_samples():
    seen = []
    Evaluator(unlabelled(300), samples=200, progress=lambda *at: seen.append(at))
    assert seen == [(128, 200), (200, 200)]


def test_an_evaluator_from_the_settings_of_a_run():
    dataset, settings = open_source("ring8"), EvaluationConfig(samples=50, extractor="points")
    samples = dataset.samples[:50]
    made = Evaluator.from_settings(dataset, settings, seed=1, split="test")
    assert made(samples) == Evaluator(dataset, "points", samples=50, seed=1, split="test")(samples)
    fewer = Evaluator.from_settings(dataset, settings, seed=1, split="test", samples=20)
    assert fewer(samples) == Evaluator(dataset, samples=20, seed=1, split="test")(samples)
