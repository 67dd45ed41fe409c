"""Domain classifier: its training, its accuracy, rotations, and stacked digits."""

import pytest
import torch
import torch.nn.functional as F

from helpers.features import uniform
from sngan.data import Dataset, open_source
from sngan.metrics import Evaluator
from sngan.metrics.domain import FEATURES, train_classifier
from sngan.metrics.extractors import extract, open_extractor


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_the_classifier_of_digits_is_good():
    # above the third root of 0.9, so that nine of ten stacks are read without an error
    assert 0.9655 < train_classifier(open_source("digits")).accuracy <= 1


@pytest.mark.usefixtures("shared_cache")
def test_the_accuracy_of_the_classifier_is_honest():
    dataset = open_source("digits")
    trained = train_classifier(dataset)
    assert 0.9 < trained.accuracy <= 1
    # the same order as in training: the first fifth was held out
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    held_out = order[: len(dataset) // 5]
    features, logits = trained.network(dataset.values(held_out))
    right = (logits.argmax(1) == dataset.labels[held_out]).double().mean()
    assert trained.accuracy == pytest.approx(float(right), abs=1e-12)
    assert features.shape == (len(held_out), FEATURES)
    assert float(features.square().mean()) == pytest.approx(1, rel=1e-4)


@pytest.mark.usefixtures("own_cache", "short_training")
def test_training_follows_from_the_seed_and_the_data(few, monkeypatch, tmp_path):
    def weights(folder, dataset, seed):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
        trained = train_classifier(dataset, seed=seed)
        return trained.key, torch.cat([p.flatten() for p in trained.network.parameters()])

    before = torch.get_rng_state()
    key, first = weights("a", few, 0)
    again, second = weights("b", few, 0)
    assert key == again
    assert torch.equal(first, second)
    other_key, other = weights("b", few, 1)
    assert other_key != key
    assert not torch.equal(other, first)
    changed = Dataset("few", few.samples, 1 - few.labels, few.class_names)
    assert weights("b", changed, 0)[0] != key
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("own_cache", "short_training")
def test_training_happens_once(few, monkeypatch):
    first = train_classifier(few)
    monkeypatch.setattr("sngan.metrics.domain._train", None)
    second = train_classifier(few)
    assert first.accuracy == second.accuracy
    x = few.values(torch.arange(5))
    assert torch.equal(first.network(x)[0], second.network(x)[0])


@pytest.mark.usefixtures("own_cache", "short_training")
def test_training_works_where_gradients_are_off(few):
    with torch.inference_mode():
        trained = train_classifier(few)
    assert trained.accuracy > 0.8


@pytest.mark.usefixtures("own_cache", "short_training")
def test_large_images_are_averaged_down():
    pixels = (uniform(40, 1, 64, 48) * 255).to(torch.uint8)
    small = F.adaptive_avg_pool2d(pixels / 127.5 - 1, 32)
    trained = train_classifier(Dataset("large", pixels, torch.arange(40) % 2, ("a", "b")))
    assert torch.equal(trained.network(pixels / 127.5 - 1)[0], trained.network(small)[0])


def test_domain_needs_images_to_train_on():
    with pytest.raises(ValueError, match="dataset: expected at least 20 images, got 12"):
        open_extractor(Dataset("few", torch.zeros(12, 1, 8, 8, dtype=torch.uint8)), "domain")


@pytest.mark.usefixtures("shared_cache")
def test_stacks_are_read_a_digit_a_channel():
    dataset = open_source("stacked-digits")
    extractor = open_extractor(dataset)
    features, logits = extract(extractor, dataset.values(torch.arange(2000)))
    assert features.shape == (2000, 3 * FEATURES)
    assert logits.exp().sum(1).sub(1).abs().max() < 1e-4
    right = (logits.argmax(1) == dataset.labels[:2000]).double().mean()
    # 0.9 to the third power; most of the pictures were trained on, which raises `right`
    assert 0.73 < extractor.accuracy <= float(right)
    single = train_classifier(open_source("digits"))
    assert extractor.accuracy == pytest.approx(single.accuracy**3)


@pytest.mark.usefixtures("shared_cache")
def test_stacks_cover_as_many_modes_as_their_number_allows():
    dataset = open_source("stacked-digits")
    result = Evaluator(dataset, samples=2000)(dataset.values(torch.arange(2000)))
    # of n draws from K modes: K(1 − (1 − 1/K)^n)
    expected = 1000 * (1 - 0.999**2000)
    assert result.values["modes"] == pytest.approx(expected, abs=25)
    # KL of n draws: about (K − 1)/2n
    assert result.values["reverse_kl"] == pytest.approx(999 / 4000, rel=0.15)
