"""The way from seed to seed, its moving pictures and strips, and the film of a training."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.examples import examples
from sngan import Config
from sngan.config import ModelConfig
from sngan.runs.interpolation import draw_between, slerp
from sngan.runs.networks import build_networks, noise_from_seed
from sngan.runs.run import Run
from sngan.tasks.film import film
from sngan.tasks.morph import morph

CLASSES = {"conditional": True, "class_names": ("a", "b", "c")}


def untrained(shape: tuple[int, ...] = (3, 8, 8), *, name: str = "cnn", **model) -> Run:
    settings = ModelConfig(name=name, width=0.1, latent_dim=7, sample_shape=shape, **model)
    torch.manual_seed(0)
    generator = build_networks(Config(model=settings))[0].eval().requires_grad_(False)
    for parameter in generator.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    return Run(Path("unused"), Config(model=settings), generator)


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as picture:
        found = []
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            found.append(np.asarray(picture.convert("RGB")).astype(int))
        return found


def image_of(run: Run, seed: int, **options) -> np.ndarray:
    (sample,) = run.of_seeds([seed], **options)
    return ((sample[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()


@given(st.integers(2, 40), st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=examples(20), deadline=None)
def test_slerp_is_the_turn_by_a_share_of_the_angle(dim, seed, share):
    a, b = torch.randn(
        2, 1, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    a, b = a / a.norm(), b / b.norm()
    angle = math.acos(float((a * b).sum()))
    # the unit vector at a right angle to a, in the plane of both
    across = b - (a * b).sum() * a
    expected = math.cos(share * angle) * a + math.sin(share * angle) * across / across.norm()
    found = slerp(a, b, torch.tensor([share], dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(slerp(a, b, torch.zeros(1)), a)
    torch.testing.assert_close(slerp(a, b, torch.ones(1)), b)


def test_slerp_of_parallel_vectors_is_a_straight_line():
    a = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 0.0]])
    b = torch.tensor([[1.0, 2.0], [2.0, 4.0], [-3.0, 0.0]])
    found = slerp(a, b, torch.full((3,), 0.25))
    torch.testing.assert_close(found, 0.75 * a + 0.25 * b)


@pytest.mark.parametrize("name", ["cnn", "resnet", "convnext"])
def test_classes_are_mixed_by_their_embeddings(name):
    run = untrained(name=name, **CLASSES)
    noise = noise_from_seed(1, 7, seed=3)
    ends = (torch.tensor([0]), torch.tensor([2]))
    images = [draw_between(run.generator, noise, ends, torch.tensor([t])) for t in (0.0, 0.5, 1.0)]
    for index, image in zip((0, 2), images[::2], strict=True):
        torch.testing.assert_close(image, run.generator(noise, torch.tensor([index])).clamp(-1, 1))
    # a generator whose class 1 has the mean of the embeddings of both
    state = run.generator.state_dict()
    tables = [key for key in state if key.endswith((".scale", ".shift", "embedding.weight"))]
    assert tables
    for key in tables:
        state[key][1] = (state[key][0] + state[key][2]) / 2
    torch.testing.assert_close(images[1], run.generator(noise, torch.tensor([1])).clamp(-1, 1))
    assert not torch.allclose(images[0], images[1])


def test_a_gif_goes_from_seed_to_seed_and_back(tmp_path):
    run = untrained(**CLASSES)
    assert morph(run, [3, 17, 40], tmp_path / "m.gif", frames=4, fps=20, scale=2) == 12
    found = frames_of(tmp_path / "m.gif")
    assert len(found) == 12
    assert found[0].shape == (16, 16, 3)
    for place, seed in ((0, 3), (4, 17), (8, 40)):
        # a GIF has 256 colours for 64 pixels, so it is exact
        np.testing.assert_array_equal(found[place][::2, ::2], image_of(run, seed))
    steps = [np.abs(a - b).mean() for a, b in zip(found, [*found[1:], found[0]], strict=True)]
    assert max(steps) < 8 * np.mean(steps)
    with Image.open(tmp_path / "m.gif") as picture:
        assert picture.info["loop"] == 0
        assert picture.info["duration"] == 50


def test_a_png_is_a_strip_with_a_row_for_each_pair(tmp_path):
    run = untrained()
    assert morph(run, [3, 17, 40], tmp_path / "m.png", frames=4, scale=1) == 10
    (found,) = frames_of(tmp_path / "m.png")
    assert found.shape == (1 + 2 * 9, 1 + 5 * 9, 3)
    for row, column, seed in ((0, 0, 3), (0, 4, 17), (1, 0, 17), (1, 4, 40)):
        top, left = 1 + 9 * row, 1 + 9 * column
        np.testing.assert_array_equal(found[top : top + 8, left : left + 8], image_of(run, seed))


def test_labels_stay_where_they_are_equal(tmp_path):
    run = untrained(**CLASSES)
    morph(run, [5, 6], tmp_path / "m.gif", labels=2, frames=3, scale=1, truncation=0.5)
    found = frames_of(tmp_path / "m.gif")
    np.testing.assert_array_equal(found[0], image_of(run, 5, labels=2, truncation=0.5))
    np.testing.assert_array_equal(found[3], image_of(run, 6, labels=2, truncation=0.5))


# the package leaves the pipes of its reader open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_mp4_holds_the_frames(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs imageio-ffmpeg, the extra video")
    run = untrained((1, 8, 8))
    assert morph(run, [3, 17], tmp_path / "m.mp4", frames=4, fps=10, scale=7) == 8
    reader = ffmpeg.read_frames(str(tmp_path / "m.mp4"))
    about = next(reader)
    assert about["size"] == (56, 56)
    assert about["fps"] == pytest.approx(10)
    found = [np.frombuffer(frame, np.uint8).reshape(56, 56, 3).astype(int) for frame in reader]
    assert len(found) == 8
    expected = np.kron(image_of(run, 17)[..., 0], np.ones((7, 7)))
    assert np.abs(found[4].mean(2) - expected).mean() < 6
    assert [path.name for path in tmp_path.iterdir()] == ["m.mp4"]


@pytest.mark.parametrize(
    ("seeds", "name", "options", "said"),
    [
        ([3], "m.gif", {}, "seeds: expected at least two seeds, got 1"),
        ([3, 4], "m.avi", {}, r"out: expected a file that ends with \.gif, \.mp4 or \.png, got"),
        ([3, 4], "m", {}, "out: expected a file that ends with"),
        ([3, 4], "m.gif", {"frames": 0}, "frames: expected an integer of at least 1"),
        ([3, 4], "m.gif", {"frames": 10**9}, "frames: expected at most"),
        ([3, 4], "m.gif", {"fps": 0.0}, "fps: expected a finite number above 0"),
        ([3, 4], "m.gif", {"fps": float("nan")}, "fps: expected a finite number"),
        ([3, 4], "m.png", {"scale": 10**6}, "scale: expected frames of at most"),
        ([3, 4], "m.gif", {"labels": 1}, "labels: expected none for an unconditional run"),
        ([3, 4], "m.gif", {"truncation": -1.0}, "truncation: expected"),
    ],
)
def test_wrong_requests_are_refused_and_leave_nothing(tmp_path, seeds, name, options, said):
    with pytest.raises(ValueError, match=said):
        morph(untrained(), seeds, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_points_get_a_clear_answer(tmp_path):
    with pytest.raises(ValueError, match=r"run: expected a run on images .*sngan film"):
        morph(untrained((2,), name="mlp"), [1, 2], tmp_path / "m.gif")


def test_mp4_without_the_package_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    for call in (
        lambda: morph(untrained(), [1, 2], tmp_path / "m.mp4"),
        lambda: film(tmp_path, tmp_path / "m.mp4"),
    ):
        with pytest.raises(ValueError, match=r"imageio-ffmpeg.*pip install 'sngan\[video\]'"):
            call()


def run_with_pictures(folder: Path, count: int, *, mode: str = "L") -> Path:
    (folder / "samples").mkdir(parents=True)
    for step in range(count):
        picture = Image.new(mode, (40, 30), step * 10 if mode == "L" else (step * 10, 0, 0))
        picture.save(folder / "samples" / f"step-{step * 500:06d}.png")
    return folder


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_film_shows_each_picture_with_its_step(tmp_path, mode):
    run = run_with_pictures(tmp_path / "run", 5, mode=mode)
    (run / "samples" / "step-notes.png").write_bytes(b"mine")
    (run / "samples" / "step-000700.png").write_bytes(b"broken")
    assert film(run, tmp_path / "film.gif", fps=5) == 5
    found = frames_of(tmp_path / "film.gif")
    assert len(found) == 5
    for number, frame in enumerate(found):
        assert frame.shape[0] > 40
        np.testing.assert_array_equal(frame[:30, :, 0], number * 10)
        assert (frame[30:] > 200).any()
    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.info["duration"] == 200
        picture.seek(4)
        assert picture.info["duration"] == 1200


def test_a_long_film_has_evenly_chosen_pictures(tmp_path):
    run = run_with_pictures(tmp_path / "run", 3)
    for step in range(10_000, 10_400):
        shutil.copy(run / "samples" / "step-000000.png", run / "samples" / f"step-{step}.png")
    assert film(run, tmp_path / "film.gif") == 300


def test_a_film_shows_no_file_from_outside(tmp_path):
    run = run_with_pictures(tmp_path / "run", 2)
    Image.new("L", (40, 30), 255).save(tmp_path / "private.png")
    (run / "samples" / "step-002000.png").symlink_to(tmp_path / "private.png")
    assert film(run, tmp_path / "film.gif") == 2


@pytest.mark.parametrize("make", [lambda run: None, lambda run: run.mkdir()])
def test_a_run_without_pictures_gets_one_line(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(ValueError, match=r"^run: expected a run "):
        film(tmp_path / "run", tmp_path / "film.gif")
    assert not (tmp_path / "film.gif").exists()
