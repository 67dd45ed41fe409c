"""Extractors of the user: functions, names of objects, and files of networks."""

import sys
import warnings

import pytest
import torch
from torch import nn

from helpers.features import normal
from sngan.data import Dataset, open_source
from sngan.metrics import Evaluator
from sngan.metrics.extractors import extract, open_extractor

pytestmark = pytest.mark.usefixtures("own_cache")
IMAGES = normal(21, 3, 8, 8, dtype=torch.float32).tanh()
ENDINGS = [".pt", ".ts", ".pt2", ".onnx"]


def dataset():
    pixels = ((IMAGES + 1) * 127.5).round().to(torch.uint8)
    return Dataset("noise", pixels)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5)
    return nn.Sequential(*layers).eval()


def save(path, *, batch=None):
    """Save the network in the form of the ending; ``batch`` fixes the size of a batch."""
    example = torch.zeros(batch or 2, 3, 8, 8)
    shapes = None if batch else ({0: torch.export.Dim("n")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".onnx":
            pytest.importorskip("onnxscript", reason="pip install onnx onnxscript onnxruntime")
            pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
            options = {"dynamo": True, "verbose": False, "dynamic_shapes": shapes}
            torch.onnx.export(network(), (example,), str(path), **options)
        elif path.suffix == ".pt2":
            program = torch.export.export(network(), (example,), dynamic_shapes=shapes)
            torch.export.save(program, path)
        else:
            torch.jit.script(network()).save(str(path))
    return path


def features_of(extractor, images=IMAGES):
    return extract(open_extractor(dataset(), extractor), images, batch=10).features


@pytest.mark.parametrize(
    "ending", [".pt", ".ts", ".pt2", pytest.param(".onnx", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("batch", [None, 8])
def test_a_file_gives_the_features_of_its_network(ending, batch, tmp_path):
    path = save(tmp_path / f"net{ending}", batch=batch)
    expected = network()(IMAGES).detach()
    for form in (path, str(path)):
        assert torch.allclose(features_of(form), expected, atol=1e-5)
    assert torch.allclose(features_of(path, IMAGES[:3]), expected[:3], atol=1e-5)


def test_features_of_a_file_are_kept_and_change_with_the_file(tmp_path):
    path = save(tmp_path / "net.pt")
    first = open_extractor(dataset(), str(path))
    torch.jit.script(nn.Flatten().eval()).save(str(path))
    other = open_extractor(dataset(), str(path))
    assert len({first.key, other.key, None}) == 3


def test_a_function_and_a_module_are_extractors():
    evaluator = Evaluator(dataset(), lambda images: images.mean((2, 3)), samples=20)
    found = evaluator(IMAGES[:20])
    assert found.extractor.endswith("<lambda>")
    assert found.values["frechet"] < Evaluator(dataset(), "pixels")(IMAGES[:20]).values["frechet"]
    assert torch.allclose(features_of(network()), network()(IMAGES).detach(), atol=1e-6)
    # features of any shape are flattened
    assert features_of(lambda images: images).shape == (21, 192)
    ring = open_source("ring8")
    assert Evaluator(ring, torch.sin, samples=20)(ring.samples[:20]).n_real == 20


def test_a_name_of_a_module_is_imported_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "own_parts_of_a_test.py").write_text(
        "def means(images):\n    return images.mean((2, 3))\n"
        "class Colours:\n    def __call__(self, images):\n        return images.amax((2, 3))\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert torch.equal(features_of("own_parts_of_a_test:means"), IMAGES.mean((2, 3)))
    assert torch.equal(features_of("own_parts_of_a_test:Colours"), IMAGES.amax((2, 3)))
    for text, said in {
        "own_parts_of_a_test:number": "extractor: expected a callable, got <class 'int'>",
        "own_parts_of_a_test:missing": "extractor: .* has no 'missing'",
        "no_such_module_here:f": "extractor: the module 'no_such_module_here' cannot be imported",
    }.items():
        with pytest.raises(ValueError, match=said):
            open_extractor(dataset(), text)


BAD = {
    "no tensor": (lambda images: images.numpy(), "floating-point features of shape .21, d"),
    "integers": (lambda images: images.long(), "got torch.int64"),
    "one for all": (lambda images: images.mean(0, keepdim=True), r"got torch.float32 \(1, 3"),
    "a vector": (lambda images: images.mean((1, 2, 3)), r"got torch.float32 \(21,\)"),
    "an error": (lambda images: images @ images[:2], "to accept samples .21, 3, 8, 8., got"),
}


@pytest.mark.parametrize("case", BAD)
def test_results_that_are_no_features_are_refused_in_one_line(case):
    function, said = BAD[case]
    with pytest.raises(ValueError, match=said) as raised:
        extract(open_extractor(dataset(), function), IMAGES)
    assert "\n" not in str(raised.value)


def test_a_module_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="extractor: expected a module in eval mode"):
        open_extractor(dataset(), network().train())
    with pytest.raises(ValueError, match=r"extractor: expected auto, points, .*got 3"):
        open_extractor(dataset(), 3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_that_are_no_networks_are_refused_in_one_line(ending, tmp_path):
    missing = tmp_path / f"missing{ending}"
    with pytest.raises(ValueError, match="extractor: expected a file of a network, got none at"):
        open_extractor(dataset(), missing)
    damaged = tmp_path / f"damaged{ending}"
    damaged.write_bytes(b"PK\x03\x04 no network")
    with pytest.raises(ValueError, match=r"^extractor: expected ") as raised:
        open_extractor(dataset(), str(damaged))
    assert "\n" not in str(raised.value)


class Trap:
    """A pickle that would write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("ending", [".pt", ".ts", ".onnx"])
def test_no_pickle_of_these_files_is_read(ending, tmp_path):
    path, trace = tmp_path / f"trap{ending}", tmp_path / "trace"
    torch.save({"weights": Trap(trace)}, path)
    with pytest.raises(ValueError, match="extractor: expected"):
        open_extractor(dataset(), path)
    assert not trace.exists()
