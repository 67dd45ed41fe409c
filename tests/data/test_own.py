"""Data given as objects: what is accepted, and the promise about resumed runs of each kind."""

import itertools
import logging
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from sngan import Config, train
from sngan.callbacks import Callback
from sngan.data import Dataset, Sampler, open_own, open_source
from sngan.data.own.one_time import OneTimeIterator
from sngan.utils import consent

POINTS = torch.randn(120, 2, generator=torch.Generator().manual_seed(3))
IMAGES = torch.randint(0, 256, (60, 3, 8, 8), generator=torch.Generator().manual_seed(3))
IMAGES = IMAGES.to(torch.uint8)


class Items:
    """A map-style data set; ``noisy`` draws random numbers of torch and of Python."""

    def __init__(self, samples, labels=None, *, noisy=False):
        self.samples, self.labels, self.noisy = samples, labels, noisy

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        sample = self.samples[i]
        if self.noisy:
            sample = sample + 0.1 * torch.randn(sample.shape) + 0.1 * random.random()
        return sample if self.labels is None else (sample, self.labels[i])


class Rows(IterableDataset):
    """An iterable of single samples."""

    def __iter__(self):
        return iter(POINTS)


def endless():
    generator = torch.Generator().manual_seed(7)
    while True:
        yield torch.randn(10, 2, generator=generator)


KINDS = {
    "data set of sngan": lambda: open_source("ring8"),
    "tensor": lambda: POINTS,
    "array": lambda: POINTS.numpy(),
    "pair": lambda: (POINTS, torch.arange(120) % 4),
    "items": lambda: Items(POINTS),
    "items with random numbers": lambda: Items(POINTS, noisy=True),
    "tensor data set": lambda: TensorDataset(POINTS, torch.arange(120) % 4),
    "list of items": lambda: list(POINTS),
    "list of batches": lambda: list(POINTS.split(7)),
    "loader": lambda: DataLoader(Items(POINTS, noisy=True), batch_size=9, shuffle=True),
    "single samples": Rows,
}


def as_images(samples):
    return (samples.float() / 127.5 - 1).contiguous()


@pytest.mark.parametrize(
    "given",
    [
        IMAGES,
        IMAGES.numpy(),
        IMAGES.permute(0, 2, 3, 1),
        IMAGES / 255,
        as_images(IMAGES),
        as_images(IMAGES).numpy().astype(np.float64),
        list(IMAGES.split(11)),
        [{"image": one, "label": 1} for one in IMAGES.split(11)],
        [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in IMAGES],
        [(Image.fromarray(one.permute(1, 2, 0).numpy()), 3) for one in IMAGES],
        [{"pixel_values": one, "y": torch.tensor(2)} for one in as_images(IMAGES)],
        Items(IMAGES),
        DataLoader(TensorDataset(as_images(IMAGES)), batch_size=13),
    ],
    ids=range(13),
)
def test_images_are_the_same_in_every_form(given):
    if isinstance(given, list) and isinstance(given[0], dict) and given[0].get("label") == 1:
        given = [{"image": one["image"], "label": torch.ones(len(one["image"]))} for one in given]
        given = [{**one, "label": one["label"].long()} for one in given]
    dataset = open_own(given)
    assert torch.equal(dataset.samples, IMAGES)
    assert dataset.samples.dtype == torch.uint8
    batch = Sampler(dataset, 60, dequantize=False).next().samples
    expected = {tuple(one.flatten().tolist()) for one in IMAGES / 127.5 - 1}
    assert {tuple(one.flatten().tolist()) for one in batch} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_each_pass_has_each_sample_once(kind):
    if "random" in kind or kind in ("loader", "data set of sngan"):
        pytest.skip("its samples differ from pass to pass, or are not the 120 points")
    sampler = Sampler(open_own(KINDS[kind]()), 40)
    for _ in range(2):
        seen = torch.cat([sampler.next().samples for _ in range(3)])
        assert torch.equal(seen[seen[:, 0].argsort()], POINTS[POINTS[:, 0].argsort()])


def test_labels_stay_with_their_samples():
    labels = (POINTS[:, 0] > 0).long()
    for given in ((POINTS, labels), Items(POINTS, labels), [*DataLoader(Items(POINTS, labels), 9)]):
        dataset = open_own(given)
        assert dataset.class_names == ("0", "1")
        sampler = Sampler(dataset, 50)
        for _ in range(5):
            samples, found = sampler.next()
            assert torch.equal(found, (samples[:, 0] > 0).long())
        drawn = sampler.draw_labels(4000)
        assert drawn.float().mean().item() == pytest.approx(labels.float().mean().item(), abs=0.04)


class StopAtFour(Callback):
    def on_step(self, training, terms):
        if training.step == 4:
            training.stop("to be resumed")


def test_the_classes_of_a_data_set_name_its_labels():
    items = Items(POINTS, torch.full((120,), 2))
    assert open_own(items).class_names == ("0", "1", "2")
    items.classes = ["cat", "dog", "owl", "fox"]
    for given in (items, DataLoader(items, batch_size=8)):
        assert open_own(given).class_names == ("cat", "dog", "owl", "fox")
    for labels in (torch.full((120,), -1), torch.full((120,), 0.5), ["cat"] * 120):
        with pytest.raises(
            ValueError, match=r"^data: expected (a whole number of at least|numbers)"
        ):
            open_own(Items(POINTS, labels))


def run_of(folder, given, callbacks=(), **changes):
    settings = {
        "steps": 8, "batch_size": 16, "n_critic": 1, "width": 0.05, "log_every": 4,
        "save_every": 4, "out": str(folder),
    }  # fmt: skip
    return train(Config(**{**settings, **changes}), data=given, callbacks=callbacks)


QUICK = ("items with random numbers", "loader")


@pytest.mark.bitwise
@pytest.mark.parametrize(
    "kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_a_resumed_run_is_the_uninterrupted_one(kind, tmp_path):
    whole = run_of(tmp_path / "whole", KINDS[kind]())
    half = run_of(tmp_path / "half", KINDS[kind](), callbacks=[StopAtFour()])
    resumed = train(half.config, resume=True, data=KINDS[kind]())
    saved = [
        torch.load(run.folder / "checkpoints" / "last.pt", weights_only=True)
        for run in (whole, resumed)
    ]
    for name in ("generator", "critic"):
        for key, value in saved[0][name].items():
            assert torch.equal(value, saved[1][name][key]), key


def test_an_iterator_says_that_it_cannot_be_read_again(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "sngan"):
        run = run_of(tmp_path / "run", endless(), steps=4)
    said = [record.message for record in caplog.records if "iterator" in record.message]
    assert len(said) == 1
    assert "not the uninterrupted run bit for bit" in said[0]
    again = train(replace(run.config, steps=6), resume=True, data=endless())
    assert again.generate(3).shape == (3, 2)
    # no sample that was read to learn the shape is lost
    sampler = Sampler(open_own(endless()), 10)
    for expected, _ in zip(endless(), range(500), strict=False):
        assert torch.equal(sampler.next().samples, expected)


@pytest.mark.parametrize("trials", [[0], [3], [2, 5], [4, 1, 3]])
def test_a_trial_takes_nothing_from_an_iterator(trials):
    """Also if the iterator writes each batch into the memory of the one before."""
    buffer = torch.empty(10, 2)

    def reused():
        for batch in itertools.islice(endless(), 200):
            yield buffer.copy_(batch)

    found = OneTimeIterator(reused())
    next(found)
    for count in trials:
        with found.given_again():
            for _ in range(count):
                next(found)
    for expected in itertools.islice(endless(), 1, 200):
        assert torch.equal(next(found), expected)
    assert next(found, None) is None


def test_an_iterator_that_ends_is_an_error_in_a_line(tmp_path):
    sampler = Sampler(open_own(iter(POINTS.split(50))), 60)
    sampler.next(), sampler.next()
    expected = "data: expected batches without end from an iterator, .* got 0 batches"
    with pytest.raises(ValueError, match=expected):
        sampler.next()


def test_other_data_is_refused_on_resume(tmp_path):
    run = run_of(tmp_path / "run", Items(POINTS), steps=4)
    with pytest.raises(ValueError, match=r"^data: expected the data that the run was trained on"):
        train(replace(run.config, steps=8), resume=True, data=Items(POINTS + 1))


class Fails(Items):
    def __getitem__(self, i):
        raise KeyError("no column of this name")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(0, 2), "expected samples in own, got shape"),
        ([], "expected at least one sample, got none"),
        (iter([]), "expected batches from own, got none"),
        (torch.zeros(4, 2, 3, 3, 3), "expected points .* got uint8"),
        (torch.full((9, 2), torch.nan), "expected finite own, got nan or inf"),
        (torch.linspace(-9, 9, 64 * 3).view(3, 1, 8, 8), "expected floats of own in 0 … 255"),
        ((POINTS, torch.zeros(7)), "expected as many labels as samples, 120, got 7"),
        ([torch.zeros(2), torch.zeros(3)], r"expected items of one shape .*\(2,\), \(3,\)"),
        ([{"text": 3}], "expected a key such as image or samples in its dictionaries"),
        (["a", "b"], "expected numbers: a tensor or array"),
        (Fails(POINTS), "expected samples of own, got KeyError: 'no column"),
        (object(), "expected a sngan.data.Dataset, a tensor or array"),
        ("ring9", "expected a sngan.data.Dataset"),
    ],
)
def test_what_is_no_data_is_refused_in_a_line(given, message):
    with pytest.raises(ValueError, match=rf"^data: {message}") as error:
        open_own(given)
    assert "\n" not in str(error.value)


def test_a_batch_that_differs_is_refused_in_a_line():
    first = torch.rand(4096, 1, 8, 8)
    for later, message in (
        (torch.rand(4096, 1, 8, 9), r"own of shape \(1, 8, 8\), got \(1, 8, 9\)"),
        (torch.rand(9, 1, 8, 9), r"batches of samples of one shape, got \[\(1, 8, 9\), \(1, 8, 8"),
        (torch.rand(4096, 1, 8, 8) * 3, "own as at its start, got its values are"),
    ):
        sampler = Sampler(open_own([first, later]), 4096)
        sampler.next()
        with pytest.raises(ValueError, match=f"^data: expected {message}"):
            sampler.next()


def test_random_numbers_of_the_caller_stay_as_they_are():
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    open_own(Items(POINTS, noisy=True))
    found = torch.rand(1).item(), random.random(), np.random.rand()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    assert found == (torch.rand(1).item(), random.random(), np.random.rand())


def test_a_function_by_name_gets_the_settings_that_it_accepts(tmp_path, monkeypatch):
    (tmp_path / "own_source.py").write_text(
        "import torch\n"
        "def points(split):\n    return torch.ones(30, 2) * len(split)\n"
        "constant = torch.zeros(20, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = consent.consent()
    consent.allow(["own_source:points", "own_source:constant"])
    try:
        dataset = open_source("own_source:points", split="val")
        assert isinstance(dataset, Dataset)
        assert dataset.name == "own_source:points"
        assert dataset.samples.unique().tolist() == [3]
        assert open_source("own_source:constant").sample_shape == (3,)
        # a folder of this name is data, not code
        (tmp_path / "own_source:points").mkdir()
        with pytest.raises(ValueError, match="data: expected images"):
            open_source("own_source:points")
    finally:
        consent.restore(before)
