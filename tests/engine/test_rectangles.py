"""Runs on rectangles and on images with opacity: train, resume, generate, measure, bound."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from helpers.tiny_run import same
from sngan import Config, lipschitz_bounds, load, train
from sngan import config as configs
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.methods import named
from sngan.runs.critic import load_critic
from sngan.tasks.evaluate import evaluate

pytestmark = pytest.mark.slow
CASES = {
    "cnn": (3, (8, 24), "color,translation,cutout"),
    "resnet": (4, (24, 8), "p=0.5"),
    "convnext": (4, (16, 8), "color,translation,cutout"),
}


def config_of(folder, name: str, out: str, *, kind: str = "matrix") -> Config:
    channels, size, policy = CASES[name]
    return Config(
        data=DataConfig(
            source=str(folder / "images.npy"), resolution=size, channels=channels, augment=policy
        ),
        model=ModelConfig(name=name, width=0.05, latent_dim=4),
        method=replace(named(name="sn"), n_critic=1, spectral_norm=kind),
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
    config = configs.load(folder / "run" / "config.yaml")
    assert config.data.resolution == f"{height}x{width}"
    assert config.model.sample_shape == (channels, height, width)


def test_a_resumed_run_is_equal_bit_for_bit(folder, name):
    train(dataclasses.replace(config_of(folder, name, "parts"), steps=1))
    train(config_of(folder, name, "parts"), resume=True)
    weights = [load_file(folder / run / "generator.safetensors") for run in ("run", "parts")]
    assert same(*weights)


def test_samples_and_their_pictures(folder, name):
    channels, (height, width), _ = CASES[name]
    assert load(folder / "run").generate(3).shape == (3, channels, height, width)
    for picture in (folder / "run" / "samples").glob("*.png"):
        with Image.open(picture) as grid:
            assert grid.mode == ("RGBA" if channels == 4 else "RGB")
            if channels == 4:
                assert np.asarray(grid)[..., 3].min() < 255


@pytest.mark.parametrize("extractor", ["pixels", "domain"])
def test_measures(folder, extractor):
    found = evaluate(folder / "run", samples=20, extractor=extractor)
    assert np.isfinite(found.values["frechet"])


def test_bounds_hold_for_slopes(folder, name):
    """No difference quotient is above the upper bound, and the lower bound is below it."""
    channels, size, _ = CASES[name]
    train(config_of(folder, name, "operator", kind="operator"))
    critic = load_critic(folder / "operator").double()
    bounds = lipschitz_bounds(critic, (channels, *size))
    x = torch.randn(32, channels, *size, dtype=torch.float64)
    y = x + 1e-3 * torch.randn_like(x)
    with torch.no_grad():
        slopes = (critic(x) - critic(y)).abs() / (x - y).flatten(1).norm(dim=1)
    assert slopes.max() <= bounds.upper
    assert 0 < bounds.lower <= bounds.upper
