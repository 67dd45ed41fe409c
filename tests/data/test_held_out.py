"""Held-out images: how many, which ones, and that no batch has them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sngan import data
from sngan.data import Dataset, Sampler, held_out_count, held_out_rows, trained_rows


def images(count: int, labels: torch.Tensor | None = None) -> Dataset:
    pixels = torch.arange(count)[:, None, None, None].expand(count, 1, 4, 4)
    return Dataset("made", (pixels % 256).to(torch.uint8), labels)


@pytest.mark.parametrize(
    ("count", "wanted", "held_out"),
    [
        (399, 0.05, 0),
        (400, 0.05, 100),
        (1797, 0.05, 100),
        (10_000, 0.05, 500),
        (10_000, 0.2, 2000),
        (60, 20.0, 20),
        (60, 30, 30),
        (60, None, 0),
        (10_000, 0, 0),
    ],
)
def test_the_number_follows_the_rule(count, wanted, held_out):
    assert held_out_count(images(count), wanted) == held_out


def test_points_and_streams_keep_none():
    points = data.open_source("ring8")
    assert held_out_count(points, 0.05) == 0
    with pytest.raises(ValueError, match=r"^data\.held_out: expected none for points, got 100$"):
        held_out_count(points, 100)


def test_a_count_over_half_of_the_images_is_refused():
    expected = r"^data\.held_out: expected at most half of the 60 images, got 31$"
    with pytest.raises(ValueError, match=expected):
        held_out_count(images(60), 31)
    with pytest.raises(ValueError, match=r"at most half of the 60 images, got 0\.9$"):
        held_out_count(images(60), 0.9)


@pytest.mark.parametrize("count", [399, 400, 401, 403, 1797])
@pytest.mark.parametrize("wanted", [0.001, 0.05, 0.499, 0.5])
def test_a_count_made_from_a_fraction_stays_the_same(count, wanted):
    """A resumed run reads its count from ``config.yaml``."""
    found = held_out_count(images(count), wanted)
    assert held_out_count(images(count), found) == found


@settings(max_examples=50, deadline=None)
@given(
    labels=st.lists(st.integers(-1, 30), min_size=2, max_size=200),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 2**31),
)
def test_every_class_keeps_an_image(labels, share, seed):
    dataset = images(len(labels), torch.tensor(labels))
    wanted = int(share * len(labels))
    rows = held_out_rows(dataset, wanted, seed=seed)
    kept = trained_rows(dataset, rows)
    assert torch.cat([rows, kept]).sort().values.tolist() == list(range(len(labels)))
    assert {labels[row] for row in kept.tolist()} == set(labels)
    assert len(rows) == min(wanted, len(labels) - len(set(labels)))
    assert torch.equal(rows, held_out_rows(dataset, wanted, seed=seed))


def test_the_choice_follows_the_seed_and_not_the_order_of_an_epoch():
    dataset = images(500)
    first, second = (held_out_rows(dataset, 100, seed=seed) for seed in (0, 1))
    # 100 of 500 share 20 with another 100 by chance, with a standard deviation of 3.6
    assert len(set(first.tolist()) & set(second.tolist())) < 40
    assert not torch.equal(first, data.batches.shuffling.seeded_permutation(500, 0, 0)[:100])


def test_no_batch_has_a_held_out_image():
    labels = torch.arange(200) % 7
    dataset = images(200, labels)
    rows = trained_rows(dataset, held_out_rows(dataset, 90, seed=3))
    sampler = Sampler(dataset, 22, seed=3, dequantize=False, rows=rows)
    drawn = [sampler.take() for _ in range(5)]
    assert torch.cat([one.samples[:, 0, 0, 0] for one in drawn]).sort().values.tolist() == (
        rows.tolist()
    )
    for one in drawn:
        assert torch.equal(one.labels, labels[one.samples[:, 0, 0, 0].long()])
    counts = torch.bincount(sampler.draw_labels(20_000), minlength=7) / 20_000
    expected = torch.bincount(labels[rows], minlength=7) / len(rows)
    assert (counts - expected).abs().max() < 0.02


def test_a_sampler_of_all_rows_draws_what_it_drew_without_rows():
    dataset = images(50)
    plain, given_rows = Sampler(dataset, 8), Sampler(dataset, 8, rows=torch.arange(50))
    for _ in range(20):
        assert torch.equal(plain.take().samples, given_rows.take().samples)
    state = plain.state_dict()
    assert state == given_rows.state_dict()
    with pytest.raises(ValueError, match="position"):
        Sampler(dataset, 8, rows=torch.arange(10)).load_state_dict({"epoch": 0, "position": 10})


def test_streamed_data_says_so_for_a_count():
    dataset = replace(images(500), stream=data.types.Stream((), None, None))
    assert held_out_count(dataset, 0.05) == 0
    with pytest.raises(ValueError, match=r"^data\.held_out: expected none for streamed data"):
        held_out_count(dataset, 100)
