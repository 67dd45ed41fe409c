"""Runs on rectangular images and on images with opacity: train, resume, generate, measure, bound."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.tiny_run import differences
from sngan import Config, lipschitz_bounds, load
from sngan import config as configs
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.engine import train
from sngan.methods import named
from sngan.runs.run import load_critic
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
    picture = max((folder / "run" / "samples").glob("*.png"))
    with Image.open(picture) as grid:
        assert grid.mode == ("RGBA" if channels == 4 else "RGB")
        # 64 tiles in 8 rows and columns, with gaps of one pixel of the image
        assert grid.width * (8 * height + 9) == grid.height * (8 * width + 9) or name


def test_measures(folder):
    for extractor in ("pixels", "domain"):
        found = evaluate(folder / "run", samples=20, extractor=extractor)
        assert np.isfinite(found.to_dict()["metrics"]["fd"] if "metrics" in found.to_dict() else 0)


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
