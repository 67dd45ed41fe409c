"""Certified accuracy on Fashion-MNIST: schedule, resuming, certificates, and the tables."""

import math

import pytest
import torch
from benchmarks.results import certified
from benchmarks.results.records import Record
from torch import nn

from benchmarks import fashion
from sngan.lipschitz import certified_accuracy

SMALL = (784, 16, 10)


def record(network, title, *, final, accuracy):
    share = {str(radius): accuracy - radius / 4 for radius in fashion.RADII}
    result = {"accuracy": accuracy, "certified": share, "constant": 1.0, "steps": 1234}
    settings = {"network": network, "title": title, "seed": 0, "final": final}
    return Record(network, settings, result, 60.0, "a machine", "2", "3")


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(128, 784, generator=generator), torch.randint(
        0, 10, (128,), generator=generator
    )


def test_certificates_are_those_of_the_library(data, monkeypatch):
    monkeypatch.setattr(fashion, "SIZES", SMALL)
    torch.manual_seed(0)
    network = fashion.ours()
    images, _ = data
    # margins of all sizes: the labels are the network's own, but for some
    labels = network(images).argmax(1)
    labels[:20] = (labels[:20] + 1) % 10
    found = fashion.evaluated(network, (images, labels))
    radii = [0.01, *fashion.RADII]
    expected = certified_accuracy(
        fashion.plain(network), images.double(), labels, radii, slopes="product"
    )
    assert found["accuracy"] == expected.clean == 108 / 128
    for radius, share in zip(radii[1:], expected.certified[1:], strict=True):
        assert found["certified"][str(radius)] == pytest.approx(share, abs=1 / 128)
    assert 1.0 <= found["constant"] <= 1 + 1e-6


def test_a_stopped_training_goes_on(data, monkeypatch, tmp_path):
    monkeypatch.setattr(fashion, "SIZES", SMALL)
    options = {"temperature": 10.0, "margin": 0.5}
    path = tmp_path / "folder" / "state.pt"
    first = fashion.train(
        fashion.ours(), data, fashion.Job("margin_cross_entropy", options, 0.05), path
    )
    again = fashion.ours()
    longer = fashion.Job("margin_cross_entropy", options, first.seconds + 0.05)
    second = fashion.train(again, data, longer, path)
    assert second.steps > first.steps
    assert second.seconds >= longer.budget
    # a finished run is only read
    assert fashion.train(fashion.ours(), data, longer, path) == second
    assert all(isinstance(part, nn.Module) for part in again)


def test_the_tables_mark_the_best_of_each_network():
    titles = list(certified.LOSSES)
    records = [record("sngan", certified.FINAL[0], final=True, accuracy=0.5)]
    for network, best in (("sngan", 1), ("deel-torchlip", 2)):
        records += [
            record(network, title, final=False, accuracy=0.3 + 0.1 * (place == best))
            for place, title in enumerate(titles[:3])
        ]
    text = certified.markdown(records)
    assert f"| sngan | {certified.FINAL[0]} | 0.5000 | 0.4375 | 0.3750 | 0.2500 | 1,234 |" in text
    marked = [line for line in text.splitlines() if "**" in line]
    assert len(marked) == 2
    assert marked[0].startswith(f"| sngan | {titles[1]} ")
    assert marked[1].startswith(f"| deel-torchlip | {titles[2]} ")
    assert all(f"**{3 * 0.4 - 0.75 / 4:.4f}**" in line for line in marked)


def test_each_run_has_a_record_of_its_own():
    cells = certified.cells([0, 1])
    assert len({cell.file for cell in cells}) == len(cells) == 2 * 2 * 2 + 2 * len(certified.LOSSES)
    assert not any(math.isnan(cell.settings["budget"]) for cell in cells)
