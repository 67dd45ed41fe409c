"""Extracted features of real samples, and the cache that keeps them."""

import logging

import pytest
import torch

from sngan.metrics import Evaluator, extractors, store
from sngan.metrics.three_channels import in_colour

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.usefixtures("short_training")
def test_real_features_are_computed_once(few, monkeypatch, caplog):
    samples = few.values(torch.arange(100))
    first = Evaluator(few, samples=100)(samples)
    calls = []
    original = extractors.extract
    for module in ("evaluator", "reference"):
        monkeypatch.setattr(
            f"sngan.metrics.{module}.extract",
            lambda *args, **options: calls.append(len(args[1])) or original(*args, **options),
        )
    evaluator = Evaluator(few, samples=100)
    assert calls == []
    assert evaluator(samples).values == first.values
    Evaluator(few, samples=100, seed=1)
    assert calls == [100, 100]
    assert not caplog.records


def test_a_damaged_cache_is_computed_again(caplog, tmp_path):
    tensors = {"features": torch.ones(3)}
    assert torch.equal(store.cached("x", lambda: tensors)["features"], torch.ones(3))
    path = tmp_path / "sngan" / "metrics" / "x.safetensors"
    assert torch.equal(store.cached("x", dict)["features"], torch.ones(3))
    path.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        assert torch.equal(store.cached("x", lambda: tensors)["features"], torch.ones(3))
    assert "is damaged" in caplog.text
    assert list(path.parent.iterdir()) == [path]


def test_where_nothing_can_be_kept_it_still_works(caplog, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert store.cached("x", lambda: {"a": torch.ones(1)}) == {"a": torch.ones(1)}
    assert "cannot be written" in caplog.text


def test_fingerprints_follow_content_shape_and_type():
    x = torch.arange(6.0)
    parts = [(x,), (x.view(2, 3),), (x.int(),), (x + 1,), (x, 0), (0, x), ("a", "b"), ("ab",)]
    assert len({store.fingerprint(*one) for one in parts}) == len(parts)
    assert store.fingerprint(x, 1) == store.fingerprint(x.clone(), 1)
    assert store.fingerprint(x[::2]) == store.fingerprint(x[::2].contiguous())


def test_inception_sees_images_with_opacity_on_white():
    images = torch.rand(2, 4, 8, 8) * 2 - 1
    opacity = (images[:, 3:] + 1) / 2
    expected = opacity * images[:, :3] + (1 - opacity) * 1
    torch.testing.assert_close(in_colour(images), expected)
    assert torch.equal(in_colour(images[:, :1]), images[:, [0, 0, 0]])
    assert torch.equal(in_colour(images[:, :3]), images[:, :3])
