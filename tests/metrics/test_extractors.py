"""Feature extractors: Inception's architecture and preprocessing, the domain classifier, caches."""

import logging
import math
import urllib.error

import pytest
import torch
import torch.nn.functional as F

from sngan.data import Dataset, open_source
from sngan.metrics import Evaluator, extractors, inception, store
from sngan.metrics.domain import FEATURES, train_classifier
from sngan.metrics.extractors import extract, open_extractor
from sngan.metrics.inception import InceptionV3, Mixed, load_inception, tensorflow_resize


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def _shared_cache(tmp_path_factory, monkeypatch):
    """The cache of `test_metrics.py`: training on the digits takes seconds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


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


# --- Inception ----------------------------------------------------------------------------------

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


# --- domain -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few():
    """Two classes that are easy to tell."""
    labels = torch.arange(200) % 2
    pixels = (uniform(200, 1, 8, 8) * 100).to(torch.uint8)
    pixels[:, :, :4] += (labels * 100).to(torch.uint8)[:, None, None, None]
    return Dataset("few", pixels, labels, ("low", "high"))


@pytest.fixture
def _short(monkeypatch):
    monkeypatch.setattr("sngan.metrics.domain._STEPS", 40)


@pytest.mark.usefixtures("_shared_cache")
def test_the_classifier_of_digits_is_good_and_its_accuracy_honest():
    dataset = open_source("digits")
    trained = train_classifier(dataset)
    assert 0.96 < trained.accuracy <= 1
    # the same order as in training: the first fifth was held out
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    held_out = order[: len(dataset) // 5]
    features, logits = trained.network(dataset.values(held_out))
    right = (logits.argmax(1) == dataset.labels[held_out]).double().mean()
    assert trained.accuracy == pytest.approx(float(right), abs=1e-12)
    assert features.shape == (len(held_out), FEATURES)
    assert float(features.square().mean()) == pytest.approx(1, rel=1e-4)


@pytest.mark.usefixtures("_short")
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


@pytest.mark.usefixtures("_short")
def test_training_happens_once(few, monkeypatch):
    first = train_classifier(few)
    monkeypatch.setattr("sngan.metrics.domain._train", None)
    second = train_classifier(few)
    assert first.accuracy == second.accuracy
    x = few.values(torch.arange(5))
    assert torch.equal(first.network(x)[0], second.network(x)[0])


@pytest.mark.usefixtures("_short")
def test_training_works_where_gradients_are_off(few):
    with torch.inference_mode():
        trained = train_classifier(few)
    assert trained.accuracy > 0.8


@pytest.mark.usefixtures("_short")
def test_without_labels_it_tells_rotations():
    # bright on top: its turns are easy to tell
    pixels = (uniform(100, 3, 12, 8) * 100).to(torch.uint8)
    pixels[:, :, :3] += 150
    dataset = Dataset("skies", pixels)
    evaluator = Evaluator(dataset, "domain", samples=50)
    result = evaluator(dataset.values(torch.arange(50, 100)))
    assert result.extractor == "domain (rotations)"
    assert result.accuracy > 0.95
    assert not {"inception_score", "classes", "modes"} & set(result.values)


@pytest.mark.usefixtures("_short")
def test_large_images_are_averaged_down():
    pixels = (uniform(40, 1, 64, 48) * 255).to(torch.uint8)
    small = F.adaptive_avg_pool2d(pixels / 127.5 - 1, 32)
    trained = train_classifier(Dataset("large", pixels, torch.arange(40) % 2, ("a", "b")))
    assert torch.equal(trained.network(pixels / 127.5 - 1)[0], trained.network(small)[0])


def test_domain_needs_images_to_train_on():
    with pytest.raises(ValueError, match="dataset: expected at least 20 images, got 12"):
        open_extractor(Dataset("few", torch.zeros(12, 1, 8, 8, dtype=torch.uint8)), "domain")


@pytest.mark.usefixtures("_shared_cache")
def test_stacks_are_read_a_digit_a_channel():
    dataset = open_source("stacked-digits")
    extractor = open_extractor(dataset)
    features, logits = extract(extractor, dataset.values(torch.arange(2000)))
    assert features.shape == (2000, 3 * FEATURES)
    assert logits.exp().sum(1).sub(1).abs().max() < 1e-4
    right = (logits.argmax(1) == dataset.labels[:2000]).double().mean()
    # most of the pictures were trained on, so it is at least the accuracy of held-out ones
    assert 0.9 < extractor.accuracy <= float(right)
    single = train_classifier(open_source("digits"))
    assert extractor.accuracy == pytest.approx(single.accuracy**3)


@pytest.mark.usefixtures("_shared_cache")
def test_stacks_cover_as_many_modes_as_their_number_allows():
    dataset = open_source("stacked-digits")
    result = Evaluator(dataset, samples=3000)(dataset.values(torch.arange(3000)))
    # of n draws from K modes: K(1 − (1 − 1/K)^n)
    expected = 1000 * (1 - 0.999**3000)
    assert result.values["modes"] == pytest.approx(expected, abs=25)
    # KL of n draws: about (K − 1)/2n
    assert result.values["reverse_kl"] == pytest.approx(999 / 6000, rel=0.15)


# --- features and their cache -------------------------------------------------------------------


@pytest.mark.usefixtures("_short")
def test_real_features_are_computed_once(few, monkeypatch, caplog):
    samples = few.values(torch.arange(100))
    first = Evaluator(few, samples=100)(samples)
    calls = []
    original = extractors.extract
    monkeypatch.setattr(
        "sngan.metrics.evaluator.extract",
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
