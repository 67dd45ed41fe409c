"""Runs on rectangles and on images with opacity: train, resume, generate, measure, bound."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.tiny_run import differences
from sngan import Config, lipschitz_bounds, load, train
from sngan import config as configs
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.methods import named
from sngan.metrics.three_channels import in_colour
from sngan.runs.run import load_critic
from sngan.runs.sample_grid import image_grid, to_uint8
from sngan.tasks.evaluate import evaluate

CASES = {
    "cnn": (3, (8, 24), "color,translation,cutout"),
    "resnet": (4, (24, 8), "p=0.5"),
    "convnext": (4, (16, 8), "color,translation,cutout"),
}


def config_of(folder, name: str, out: str) -> Config:
    channels, size, policy = CASES[name]
    return Config(
        data=DataConfig(
            source=str(folder / "images.npy"), resolution=size, channels=channels, augment=policy
        ),
        model=ModelConfig(name=name, width=0.05, latent_dim=4),
        method=replace(named(name="sn"), n_critic=1, spectral_norm="operator"),
        performance=PerformanceConfig(device="cpu"),
        evaluation=EvaluationConfig(every=2, samples=10, extractor="pixels"),
        batch_size=4,
        steps=2,
        log_every=1,
        sample_every=2,
        save_every=1,
        keep_every=1,
        out=str(folder / out),
    )


@pytest.fixture(scope="module", params=CASES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("rectangles")
    channels, (height, width), _ = CASES[name]
    shape = (24, height, width, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(folder / "images.npy", pixels)
    train(config_of(folder, name, "run"))
    return folder


def test_settings_of_the_run(folder, name):
    channels, (height, width), _ = CASES[name]
    text = (folder / "run" / "config.yaml").read_text()
    assert f"resolution: {height}x{width}" in text
    config = configs.load(folder / "run" / "config.yaml")
    assert config.data.resolution == f"{height}x{width}"
    assert config.model.sample_shape == (channels, height, width)


def test_a_resumed_run_is_equal_bit_for_bit(folder, name):
    train(dataclasses.replace(config_of(folder, name, "parts"), steps=1))
    train(config_of(folder, name, "parts"), resume=True)
    assert not [one for one in differences(folder / "parts", folder / "run") if "config" not in one]


def test_samples_and_their_pictures(folder, name):
    channels, (height, width), _ = CASES[name]
    assert load(folder / "run").generate(3).shape == (3, channels, height, width)
    for picture in (folder / "run" / "samples").glob("*.png"):
        with Image.open(picture) as grid:
            assert grid.mode == ("RGBA" if channels == 4 else "RGB")
            if channels == 4:
                assert np.asarray(grid)[..., 3].min() < 255


def test_a_grid_of_rectangles_with_opacity():
    images = torch.zeros(5, 4, 8, 24)
    images[:, 3] = torch.linspace(-1, 1, 5)[:, None, None]
    grid = np.asarray(image_grid(to_uint8(images), columns=2))
    # each pixel is enlarged to a square of 512 // (2 · 25) = 10 pixels, and so are the gaps
    assert grid.shape == (3 * 90 + 10, 2 * 250 + 10, 4)
    middles = [grid[10 + 90 * (i // 2) + 40, 10 + 250 * (i % 2) + 120, 3] for i in range(5)]
    assert middles == [0, 64, 128, 191, 255]
    assert (grid[5, :, 3] == 255).all()


@pytest.mark.parametrize("extractor", ["pixels", "domain"])
def test_measures(folder, extractor):
    found = evaluate(folder / "run", samples=20, extractor=extractor)
    assert np.isfinite(found.values["frechet"])


def test_inception_sees_images_with_opacity_on_white():
    images = torch.rand(2, 4, 8, 8) * 2 - 1
    opacity = (images[:, 3:] + 1) / 2
    expected = opacity * images[:, :3] + (1 - opacity) * 1
    torch.testing.assert_close(in_colour(images), expected)
    assert torch.equal(in_colour(images[:, :1]), images[:, [0, 0, 0]])
    assert torch.equal(in_colour(images[:, :3]), images[:, :3])


def test_bounds_hold_for_slopes(folder, name):
    """No difference quotient is above the upper bound, and the lower bound is below it."""
    channels, size, _ = CASES[name]
    critic = load_critic(folder / "run").double()
    bounds = lipschitz_bounds(critic, (channels, *size))
    x = torch.randn(32, channels, *size, dtype=torch.float64)
    y = x + 1e-3 * torch.randn_like(x)
    with torch.no_grad():
        slopes = (critic(x) - critic(y)).abs() / (x - y).flatten(1).norm(dim=1)
    assert slopes.max() <= bounds.upper
    assert 0 < bounds.lower <= bounds.upper
