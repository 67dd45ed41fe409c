"""Chosen samples: seeds, labels, truncation, grids, captions and the endings of pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from helpers.examples import examples
from sngan import Config
from sngan.config import ModelConfig
from sngan.runs.export import export
from sngan.runs.networks import build_networks, noise_from_seed
from sngan.runs.noise import parse_seeds, truncated
from sngan.runs.run import Run

NAMES = ("cat", "dog", "red, white and blue")


def untrained(shape: tuple[int, ...] = (3, 8, 8), **model) -> Run:
    name = "mlp" if len(shape) == 1 else "cnn"
    settings = ModelConfig(name=name, width=0.1, latent_dim=7, sample_shape=shape, **model)
    torch.manual_seed(0)
    config = Config(model=settings)
    generator = build_networks(config)[0].eval().requires_grad_(False)
    for parameter in generator.parameters():
        # the weights of a new network give grey images, which do not differ by class
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    return Run(Path("unused"), config, generator)


@pytest.fixture(scope="module")
def plain() -> Run:
    return untrained()


@pytest.fixture(scope="module")
def classes() -> Run:
    return untrained(conditional=True, class_names=NAMES)


def test_a_grid_that_no_memory_holds_is_refused_at_once(plain, tmp_path):
    for choices, name in (
        ({"n": 10**8}, "n"),
        ({"n": 10**8, "columns": 3}, "n"),
        ({"seeds": range(4), "scale": 10**5}, "scale"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: expected a picture of at most [\d,]+ pix"):
            export(plain, tmp_path / "x.png", **choices)
    assert not list(tmp_path.iterdir())


def drawn(run: Run, seeds: list[int], **options) -> torch.Tensor:
    return torch.cat(list(run.of_seeds(seeds, **options)))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), min_size=1, max_size=6))
@settings(max_examples=examples(40), deadline=None)
def test_a_text_of_seeds_is_what_it_says(parts):
    text = ",".join(f"{a}" if length == 0 else f"{a}-{a + length}" for a, length in parts)
    expected = [seed for a, length in parts for seed in range(a, a + length + 1)]
    assert parse_seeds(text) == expected
    assert parse_seeds(text.replace(",", " , ").replace("-", " - ")) == expected


@pytest.mark.parametrize(
    "text", ["", ",", "3,", "3,,4", "5-3", "-3", "a", "3.5", "1-2-3", "1e3", "²", "9" * 20]
)
def test_other_texts_are_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^seeds: expected .*, got .*$"):
        parse_seeds(text)


def test_a_huge_range_is_refused_before_it_is_built():
    with pytest.raises(ValueError, match="at most 100,000 seeds"):
        parse_seeds("1-9000000000000000000")


@pytest.mark.parametrize("kind", ["plain", "classes"])
def test_a_seed_has_the_same_sample_whatever_the_other_seeds(kind, request):
    run = request.getfixturevalue(kind)
    seeds = [3, 17, 40, 41, 3]
    found = drawn(run, seeds)
    for place, seed in enumerate(seeds):
        assert torch.equal(found[place : place + 1], drawn(run, [seed]))
    assert torch.equal(drawn(run, seeds[::-1]), found.flip(0))
    assert not torch.equal(found[0], found[1])


def test_it_is_the_first_sample_of_its_seed(plain):
    for seed in (0, 5, 2**63 - 1):
        torch.testing.assert_close(drawn(plain, [seed]), plain.generate(1, seed=seed))
        torch.testing.assert_close(drawn(plain, [seed]), plain.generate(40, seed=seed)[:1])


def test_labels_go_with_their_seeds(classes):
    labels = torch.tensor([2, 0])
    found = drawn(classes, [8, 9], labels=labels)
    noise = torch.cat([noise_from_seed(1, 7, seed=seed) for seed in (8, 9)])
    expected = classes.generator(noise, labels)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found[:1], drawn(classes, [8], labels=0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog", [1, 1, 1, 1]),
        ("cat,dog", [0, 1, 0, 1]),
        ("1,red, white and blue", None),
        ("red, white and blue", [2, 2, 2, 2]),
        ("2, cat ,0,1", [2, 0, 0, 1]),
        ("0,1,2,0,1", None),
        ("cow", None),
        ("cat,", None),
    ],
)
def test_labels_by_name_index_or_list(classes, text, expected):
    if expected is not None:
        assert classes.class_indices(text, 4).tolist() == expected
        return
    with pytest.raises(ValueError, match=r"^label: expected .*got"):
        classes.class_indices(text, 4)


@given(st.floats(0.01, 7.0), st.integers(0, 1000))
@settings(max_examples=examples(30), deadline=None)
def test_truncated_noise_is_scipys_truncated_normal(limit, seed):
    noise = torch.randn(500, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = stats.truncnorm.ppf(stats.norm.cdf(noise), -limit, limit)
    np.testing.assert_allclose(truncated(noise, limit), expected, rtol=1e-9, atol=1e-9)


def test_truncation_stays_inside_and_none_changes_nothing():
    noise = torch.tensor([-40.0, -5.0, 0.0, 5.0, 40.0])
    for limit in (1e-30, 0.3, 2.0, 8.0):
        moved = truncated(noise, limit)
        assert moved.abs().max() <= limit
        assert bool((moved.diff() >= 0).all())
    assert truncated(noise, None) is noise
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="truncation: expected"):
            truncated(noise, wrong)


def test_truncation_reaches_the_samples(plain):
    far, near = plain.generate(64), plain.generate(64, truncation=0.1)
    assert near.std(0).mean() < 0.5 * far.std(0).mean()
    torch.testing.assert_close(drawn(plain, [0], truncation=0.1), near[:1])


@pytest.mark.parametrize("scale", [1, 3, 4])
@pytest.mark.parametrize("columns", [1, 2, 5, 99])
def test_a_grid_holds_each_image_with_its_pixels_as_squares(plain, tmp_path, scale, columns):
    out = tmp_path / "grid.png"
    export(plain, out, seeds=[1, 2, 3, 4, 5], columns=columns, scale=scale)
    images = ((drawn(plain, [1, 2, 3, 4, 5]) + 1) * 127.5).round().byte()
    found, columns = pixels(out), min(columns, 5)
    step = 8 * scale + scale
    assert found.shape == (-(-5 // columns) * step + scale, columns * step + scale, 3)
    for place, image in enumerate(images):
        top, left = scale + place // columns * step, scale + place % columns * step
        tile = found[top : top + 8 * scale, left : left + 8 * scale]
        expected = np.kron(image.permute(1, 2, 0).numpy(), np.ones((scale, scale, 1)))
        np.testing.assert_array_equal(tile, expected)


def test_captions_are_below_their_images_and_change_none(classes, tmp_path):
    look = {"seeds": [3, 17, 40, 41], "columns": 2, "scale": 10}
    export(classes, tmp_path / "plain.png", **look)
    export(classes, tmp_path / "said.png", **look, captions=True)
    without, said = pixels(tmp_path / "plain.png"), pixels(tmp_path / "said.png")
    assert said.shape[1] == without.shape[1]
    added = (said.shape[0] - without.shape[0]) // 2
    assert added > 20
    for row in range(2):
        own, new = 10 + row * 90, 10 + row * (90 + added)
        np.testing.assert_array_equal(said[new : new + 80], without[own : own + 80])
        band = said[new + 80 : new + 80 + added]
        for left in (10, 100):
            assert (band[:, left : left + 80] > 200).any()
    # small images are enlarged until a caption can be read
    export(classes, tmp_path / "small.png", n=100, captions=True)
    assert pixels(tmp_path / "small.png").shape[1] > 10 * 72


@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".jpeg", ".webp", ".PNG"])
@pytest.mark.parametrize("kind", ["plain", "points"])
def test_the_ending_decides_the_format(plain, tmp_path, ending, kind):
    run = plain if kind == "plain" else untrained((2,))
    export(run, tmp_path / f"x{ending}", n=9)
    export(run, tmp_path / "x.png" if ending != ".PNG" else tmp_path / "y.png", n=9)
    formats = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".png": "PNG"}
    with Image.open(tmp_path / f"x{ending}") as picture:
        assert picture.format == formats[ending.lower()]
        found = np.asarray(picture.convert("RGB")).astype(int)
    with Image.open(tmp_path / ("x.png" if ending != ".PNG" else "y.png")) as picture:
        expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(found - expected).mean() < (6 if "j" in ending.lower() else 0.01)


@pytest.mark.parametrize("name", ["x.gif", "x.mp4", "x.txt", "x.npy", "x.tar.gz", "x.pngg"])
def test_unknown_endings_are_refused_with_the_known_ones(plain, tmp_path, name):
    with pytest.raises(ValueError, match=r"^out: expected .*\.png, \.jpg, .*\.webp or \.npz, got"):
        export(plain, tmp_path / name, n=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out", "samples-0.5", "v1.2", "x.photos/"])
def test_other_names_are_folders(plain, tmp_path, name):
    export(plain, f"{tmp_path}/{name}", seeds=[3, 17], scale=2)
    folder = tmp_path / name
    assert sorted(path.name for path in folder.iterdir()) == ["00003.png", "00017.png"]
    expected = ((drawn(plain, [17])[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(
        pixels(folder / "00017.png"), np.kron(expected, np.ones((2, 2, 1)))
    )


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"n": 3, "seeds": [1, 2]}, "n: expected none beside seeds"),
        ({"seed": 3, "seeds": [1, 2]}, "seed: expected none beside seeds"),
        ({"seeds": [1, 1]}, "seeds: expected each seed once for a folder.* 1 twice"),
        ({"seeds": [-1]}, "seeds: expected an integer of at least 0"),
        ({"columns": 3}, "columns: expected none unless --out is a grid"),
        ({"captions": True}, "captions: expected none unless"),
        ({"scale": 0}, "scale: expected an integer of at least 1"),
        ({"scale": 10**9}, "scale: expected a picture of at most"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(plain, tmp_path, choices, said):
    with pytest.raises(ValueError, match=said):
        export(plain, tmp_path / "out", **choices)
    assert not list(tmp_path.iterdir())


def test_points_have_no_grid(tmp_path):
    for choices in ({"columns": 2}, {"scale": 2}, {"captions": True}):
        for name in ("x.png", "folder", "x.npz"):
            with pytest.raises(ValueError, match="expected none unless"):
                export(untrained((2,)), tmp_path / name, n=3, **choices)
