"""Features of images without labels: they see noise, blur and blobs, which pixels do not."""

import pytest
import torch
import torch.nn.functional as F

from sngan.data import Dataset, open_source
from sngan.metrics import Evaluator, pretext


@pytest.fixture(scope="module")
def unlabelled():
    return Dataset("digits", open_source("digits").samples)


def damaged(images, seed=0):
    """Images that are worse in one way each; none of them is a damage of the pretext task."""
    generator = torch.Generator().manual_seed(seed)
    dark = torch.rand(images.shape, generator=generator) < 0.1
    return {
        "holes": torch.where(dark, -torch.ones(()), images),
        "rows": images[:, :, torch.randperm(8, generator=generator)],
    }


def leaves(count, *, side=16, discs=40, seed=0):
    """Pictures with the edges and sizes of photographs: discs of all sizes cover each other.

    This "dead leaves" model has the statistics of natural images (Lee, Mumford and Huang 2001).
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = torch.zeros(count, 3, side, side)
    for _ in range(discs):
        at = torch.rand(count, 2, 1, 1, generator=generator) * side
        radius = 1.5 / torch.rand(count, 1, 1, generator=generator).clamp_min(0.1)
        inside = (x - at[:, 0]).square() + (y - at[:, 1]).square() < radius.square()
        colour = torch.rand(count, 3, 1, 1, generator=generator) * 255
        images = torch.where(inside[:, None], colour, images)
    return images.to(torch.uint8)


@pytest.mark.slow
def test_blobs_are_told_from_photographs_where_pixels_do_not(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    photographs = Dataset("leaves", leaves(1500))
    real = Dataset("more", leaves(500, seed=1)).values(torch.arange(500))
    blobs = F.interpolate(F.adaptive_avg_pool2d(real, 4), size=16, mode="bicubic").clamp(-1, 1)
    values = {}
    for extractor in ("pixels", "auto"):
        evaluator = Evaluator(photographs, extractor, samples=500)
        values[extractor] = [evaluator(one).values for one in (real, blobs)]
    # blobs are near the mean of the data, so pixels call them more like real than real ones
    of_real, of_blobs = values["pixels"]
    for name in ("precision", "density", "coverage"):
        assert of_blobs[name] >= of_real[name] - 0.02, name
    of_real, of_blobs = values["auto"]
    for name in ("precision", "recall", "density", "coverage"):
        assert of_blobs[name] < of_real[name] - 0.1, name
    assert of_blobs["frechet"] > 20 * of_real["frechet"]


@pytest.mark.slow
def test_metrics_rank_damage_by_its_strength(unlabelled, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    labels = open_source("digits").labels
    real = unlabelled.values(torch.arange(0, 1500, 3))
    evaluator = Evaluator(unlabelled, samples=500)
    assert evaluator(real).extractor == "domain (self-supervised)"
    kernel = torch.ones(1, 1, 3, 3) / 9
    smooth = F.conv2d(F.pad(real, (1, 1, 1, 1), mode="replicate"), kernel)
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(1))
    only = {k: unlabelled.values((labels < k).nonzero().flatten()[:500]) for k in (8, 4)}
    series = {
        "noise": [real, real + 0.1 * noise, real + 0.3 * noise, real + 0.6 * noise],
        "blur": [real, real.lerp(smooth, 0.5), smooth],
        "classes": [real, only[8], only[4]],
    }
    for name, images in series.items():
        found = [evaluator(one.clamp(-1, 1)).values["frechet"] for one in images]
        assert found == sorted(found), name
        assert found[-1] > 2 * found[0], name
    whole = evaluator(real).values
    for name, images in damaged(real).items():
        assert evaluator(images.clamp(-1, 1)).values["frechet"] > 3 * whole["frechet"], name


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 5, 5), (1, 1, 1)])
def test_each_image_is_turned_and_damaged_as_its_labels_say(shape):
    torch.manual_seed(0)
    images = torch.rand(200, *shape) * 2 - 1
    task = pretext.draw(images)
    assert task.images.shape == images.shape
    assert task.images.abs().max() <= 1
    assert task.images.isfinite().all()
    assert set(task.turns.tolist()) == set(range(4))
    assert set(task.damages.tolist()) == set(range(len(pretext.DAMAGES)))
    for turn in range(4):
        plain = (task.turns == turn) & (task.damages == 0)
        assert torch.equal(task.images[plain], images[plain].rot90(turn, (2, 3)))
    torch.manual_seed(0)
    torch.rand(200, *shape)
    assert torch.equal(pretext.draw(images).images, task.images)


def test_the_loss_is_the_sum_of_both_cross_entropies():
    torch.manual_seed(1)
    task = pretext.draw(torch.rand(6, 1, 8, 8))
    logits = torch.randn(6, pretext.CLASSES, dtype=torch.float64)
    turns = logits[:, :4].log_softmax(1)[torch.arange(6), task.turns]
    damages = logits[:, 4:].log_softmax(1)[torch.arange(6), task.damages]
    expected = -(turns + damages).mean()
    assert pretext.loss(logits, task) == pytest.approx(float(expected), rel=1e-12)
    right = torch.nn.functional.one_hot(task.damages + 4, pretext.CLASSES).double()
    assert pretext.accuracy(right, task) == 1


def test_one_image_or_an_empty_share_does_no_harm():
    for seed in range(20):
        torch.manual_seed(seed)
        assert pretext.draw(torch.zeros(1, 1, 8, 8)).images.isfinite().all()
