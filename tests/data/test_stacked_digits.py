"""Stacked digits: deterministic, a thousand uniform modes, labels that match the pixels."""

import torch

from sngan.data import open_source
from sngan.data.sources.stacked_digits import SAMPLES
from sngan.data.sources.toy import digits


def test_a_stack_shows_the_digits_of_its_label():
    stacked, single = open_source("stacked-digits"), digits()
    assert stacked.samples.shape == (SAMPLES, 3, 8, 8)
    assert stacked.samples.dtype == torch.uint8
    assert stacked.class_names[7] == "007"
    pairs = zip(single.samples, single.labels, strict=True)
    known = {picture.numpy().tobytes(): int(label) for picture, label in pairs}
    assert len(known) == len(single.samples)
    for stack, label in zip(stacked.samples[:500], stacked.labels[:500], strict=True):
        spelled = [known[channel.numpy().tobytes()] for channel in stack]
        assert spelled == [int(digit) for digit in f"{int(label):03}"]


def test_all_thousand_labels_are_equally_likely():
    labels = open_source("stacked-digits").labels
    counts = labels.bincount(minlength=1000)
    chi_squared = float(((counts - SAMPLES / 1000) ** 2 / (SAMPLES / 1000)).sum())
    # 999 degrees of freedom: mean 999, standard deviation 44.7
    assert 999 - 4 * 44.7 < chi_squared < 999 + 4 * 44.7


def test_every_picture_of_a_digit_is_used():
    stacked, single = open_source("stacked-digits"), digits()
    used = {channel.numpy().tobytes() for channel in stacked.samples.flatten(0, 1)}
    assert used == {picture.numpy().tobytes() for picture in single.samples}


def test_it_is_the_same_every_time_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, second = open_source("stacked-digits"), open_source("stacked-digits")
    assert torch.equal(first.samples, second.samples)
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_takes_another_size():
    assert open_source("stacked-digits", resolution=8).sample_shape == (3, 8, 8)
