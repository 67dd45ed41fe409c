"""Inception: architecture, preprocessing, and the loading of its weights."""

import math
import urllib.error

import pytest
import torch
import torch.nn.functional as F

from helpers.features import uniform
from sngan.data import Dataset
from sngan.metrics import inception
from sngan.metrics.extractors import extract, open_extractor
from sngan.metrics.inception import InceptionV3, Mixed, load_inception, tensorflow_resize

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return InceptionV3().eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    """Random weights in a file as torch-fidelity writes it: without counters of batches."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    torch.save(state, path)
    return path


BRANCHES = {
    "A": "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool",
    "B": "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    "C": "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool",
    "D": "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    "E": "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool",
}
KINDS = ("5b A", "5c A", "5d A", "6a B", *(f"6{n} C" for n in "bcde"), "7a D", "7b E", "7c E")
BLOCKS = dict(kind.split() for kind in KINDS)


def test_names_are_those_of_the_weights_file(network):
    convolutions = [f"Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")]
    for block, kind in BLOCKS.items():
        convolutions += [f"Mixed_{block}.branch{name}" for name in BRANCHES[kind].split()]
    assert len(convolutions) == 94
    parts = ["conv.weight", *(f"bn.{p}" for p in ("weight", "bias", "running_mean", "running_var"))]
    expected = {f"{name}.{part}" for name in convolutions for part in parts}
    state = network.state_dict()
    named = {name for name in state if not name.endswith("num_batches_tracked")}
    assert named == expected | {"fc.weight", "fc.bias"}
    assert state["Mixed_6c.branch7x7dbl_2.conv.weight"].shape == (160, 160, 7, 1)
    assert state["Mixed_7b.branch3x3_2a.conv.weight"].shape == (384, 384, 1, 3)


def test_parameters_are_as_many_as_torchvision_has_and_1008_classes(network):
    # torchvision's inception_v3 without its auxiliary head: 23,834,568 with 1,000 classes
    trunk = 23_834_568 - (2048 + 1) * 1000
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == trunk + (2048 + 1) * 1008


def test_shapes_through_the_network(network):
    expected = {
        "Conv2d_1a_3x3": (32, 149),
        "Conv2d_2a_3x3": (32, 147),
        "Conv2d_2b_3x3": (64, 147),
        "MaxPool_1": (64, 73),
        "Conv2d_3b_1x1": (80, 73),
        "Conv2d_4a_3x3": (192, 71),
        "MaxPool_2": (192, 35),
        "Mixed_5b": (256, 35),
        "Mixed_5c": (288, 35),
        "Mixed_5d": (288, 35),
        **{f"Mixed_6{block}": (768, 17) for block in "abcde"},
        "Mixed_7a": (1280, 8),
        "Mixed_7b": (2048, 8),
        "Mixed_7c": (2048, 8),
    }
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: tuple(output.shape)})
        )
        for name, module in network.named_children()
    ]
    with torch.no_grad():
        features, logits = network(uniform(2, 3, 32, 32) * 255)
    for hook in hooks:
        hook.remove()
    assert seen == {name: (2, width, side, side) for name, (width, side) in expected.items()}
    assert features.shape == (2, 2048)
    assert torch.equal(logits, features @ network.fc.weight.T)
    assert logits.shape == (2, 1008)


def convolved(block, name, x, **options):
    conv, bn = (block.get_submodule(f"{name}.{part}") for part in ("conv", "bn"))
    x = F.conv2d(x, conv.weight, **options)
    scale = bn.weight / (bn.running_var + 1e-3).sqrt()
    shift = bn.bias - bn.running_mean * scale
    return (x * scale[:, None, None] + shift[:, None, None]).relu()


def with_statistics(block):
    for number, module in enumerate(block.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                value.data = uniform(len(value), seed=number) + 0.5
    return block.eval()


def test_a_block_averages_without_the_padding():
    block = with_statistics(Mixed(6, inception._block_a(8), pool="average"))
    x = uniform(2, 6, 9, 9)

    def conv(name, value, padding=0):
        return convolved(block, f"branch{name}", value, padding=padding)

    # 9 cells in the middle, 6 at an edge, 4 in a corner
    mean = F.conv2d(x, torch.ones(6, 1, 3, 3), padding=1, groups=6)
    mean = mean / F.conv2d(torch.ones(1, 1, 9, 9), torch.ones(1, 1, 3, 3), padding=1)
    expected = [
        conv("1x1", x),
        conv("5x5_2", conv("5x5_1", x), 2),
        conv("3x3dbl_3", conv("3x3dbl_2", conv("3x3dbl_1", x), 1), 1),
        conv("_pool", mean),
    ]
    torch.testing.assert_close(block(x), torch.cat(expected, 1), rtol=1e-4, atol=1e-4)


def test_the_last_block_forks_and_takes_the_maximum():
    block = with_statistics(Mixed(6, inception._BLOCK_E, pool="max"))
    x = uniform(1, 6, 8, 8)

    def conv(name, value, padding=0):
        return convolved(block, f"branch{name}", value, padding=padding)

    single = conv("3x3_1", x)
    double = conv("3x3dbl_2", conv("3x3dbl_1", x), 1)
    padded = F.pad(x, (1, 1, 1, 1), value=-math.inf)
    expected = [
        conv("1x1", x),
        *(conv("3x3_2a", single, (0, 1)), conv("3x3_2b", single, (1, 0))),
        *(conv("3x3dbl_3a", double, (0, 1)), conv("3x3dbl_3b", double, (1, 0))),
        conv("_pool", padded.unfold(2, 3, 1).unfold(3, 3, 1).amax((4, 5))),
    ]
    torch.testing.assert_close(block(x), torch.cat(expected, 1), rtol=1e-4, atol=1e-3)


def test_the_reducing_block_appends_its_pool():
    block = with_statistics(Mixed(6, inception._BLOCK_B, pool="reduce"))
    x = uniform(1, 6, 9, 9)

    def conv(name, value, **options):
        return convolved(block, f"branch{name}", value, **options)

    double = conv("3x3dbl_2", conv("3x3dbl_1", x), padding=1)
    expected = [
        conv("3x3", x, stride=2),
        conv("3x3dbl_3", double, stride=2),
        x.unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5)),
    ]
    torch.testing.assert_close(block(x), torch.cat(expected, 1), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (32, 20), (400, 320)])
def test_resizing_is_that_of_tensorflow_1(rows, columns):
    image = uniform(1, 2, rows, columns) * 255
    resized = tensorflow_resize(image, 299)
    for i, j in [(0, 0), (1, 2), (17, 150), (150, 17), (297, 298), (298, 298)]:
        y, x = i * rows / 299, j * columns / 299
        top, left = int(y), int(x)
        bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        dy, dx = y - top, x - left
        pixel = image[0].double()
        expected = (1 - dy) * ((1 - dx) * pixel[:, top, left] + dx * pixel[:, top, right])
        expected += dy * ((1 - dx) * pixel[:, bottom, left] + dx * pixel[:, bottom, right])
        assert resized[0, :, i, j].tolist() == pytest.approx(expected.tolist(), abs=2e-2)
    modern = F.interpolate(image, size=(299, 299), mode="bilinear", align_corners=False)
    assert (resized - modern).abs().max() > 1


def test_an_image_of_the_right_size_is_left_as_it_is():
    image = uniform(1, 3, 299, 299)
    assert torch.equal(tensorflow_resize(image, 299), image)


def test_inception_reads_pixels_of_0_to_255(network, weights):
    seen = []
    dataset = Dataset("grey", torch.full((12, 1, 8, 8), 7, dtype=torch.uint8))
    extractor = open_extractor(dataset, "inception", weights=weights)
    hook = network.Conv2d_1a_3x3.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs))
    with torch.no_grad():
        direct = network(torch.full((1, 3, 8, 8), 7.0))
    hook.remove()
    assert torch.equal(seen[0][0], torch.full((1, 3, 299, 299), (7 - 128) / 128))
    features, logits = extract(extractor, dataset.values(torch.arange(1)))
    assert torch.equal(features, direct[0])
    assert torch.equal(logits, direct[1])


def test_other_weights_are_named_and_kept_apart(weights, tmp_path):
    _, digest = load_inception(weights)
    dataset = Dataset("grey", torch.zeros(12, 1, 8, 8, dtype=torch.uint8))
    extractor = open_extractor(dataset, "inception", weights=weights)
    assert extractor.name == f"inception ({digest[:8]})"
    assert extractor.accuracy is None
    state = torch.load(weights, weights_only=True)
    state["fc.bias"] += 1
    torch.save(state, tmp_path / "other.pth")
    other = open_extractor(dataset, "inception", weights=tmp_path / "other.pth")
    assert other.key != extractor.key


def test_weights_that_do_not_fit_are_told(weights, tmp_path):
    with pytest.raises(ValueError, match="weights: expected a file of Inception's weights, got"):
        load_inception(tmp_path / "none.pth")
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"weights: expected Inception's weights in .*damaged"):
        load_inception(damaged)
    state = torch.load(weights, weights_only=True)
    del state["fc.bias"]
    torch.save(state, damaged)
    with pytest.raises(ValueError, match=r"names of torch-fidelity's file, got \['fc.bias'\]"):
        load_inception(damaged)
    state["fc.bias"] = torch.zeros(1000)
    torch.save(state, damaged)
    with pytest.raises(ValueError, match="weights: expected Inception's weights in"):
        load_inception(damaged)


def test_offline_the_error_says_what_to_do(monkeypatch):
    def refuse(*_args, **_options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(
        ValueError, match=r"weights: expected a path .*connection to https.*got"
    ) as e:
        load_inception()
    assert "\n" not in str(e.value)


def test_a_download_is_checked_and_kept(monkeypatch, weights, tmp_path):
    fetched = []
    original = torch.hub.download_url_to_file

    def fetch(url, path, hash_prefix, progress):
        fetched.append(url)
        original(weights.as_uri(), path, hash_prefix, progress)

    monkeypatch.setattr("torch.hub.download_url_to_file", fetch)
    with pytest.raises(ValueError, match="invalid hash value"):
        load_inception()
    kept = tmp_path / "sngan" / "weights"
    assert not list(kept.glob("*"))
    monkeypatch.setattr(inception, "CHECKSUM", load_inception(weights)[1][:8])
    load_inception()
    load_inception()
    assert fetched == [inception.URL] * 2
    assert [path.name for path in kept.iterdir()] == [inception.URL.rpartition("/")[2]]
