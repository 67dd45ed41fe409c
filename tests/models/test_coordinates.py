"""Coordinates of points: networks compute in standard ones, and take and give the data's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sngan import METHODS, Config, data, lipschitz_bounds, models
from sngan.engine import TrainState, train_step
from sngan.engine.sampling import sample_average
from sngan.models import Coordinates

UNITS = [(0.0, 1.0), (1000.0, 2.0), (-3e-3, 1e-5), ((5.0, -2e4), (0.1, 300.0))]


def standard_points(n=500):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("shift", "unit"), UNITS)
def test_fitted_coordinates_standardize_and_go_back(shift, unit):
    points = standard_points() * torch.tensor(unit) + torch.tensor(shift)
    coordinates = Coordinates(2)
    coordinates.fit(points)
    standard = coordinates.standard(points)
    torch.testing.assert_close(standard.mean(0), torch.zeros(2), rtol=0, atol=1e-3)
    torch.testing.assert_close(standard.std(0, correction=0), torch.ones(2), rtol=1e-3, atol=0)
    torch.testing.assert_close(coordinates.original(standard), points, rtol=1e-5, atol=1e-9)


def test_a_constant_coordinate_is_only_shifted():
    points = standard_points() * 0.01
    points[:, 1] = 0.1
    coordinates = Coordinates(2)
    coordinates.fit(points)
    assert coordinates.scale[1] == coordinates.scale[0]
    assert coordinates.standard(points)[:, 1].abs().max() < 1e-5
    coordinates.fit(torch.full((3, 2), 7.0))
    assert coordinates.standard(torch.full((3, 2), 7.0)).eq(0).all()


def test_the_critic_computes_in_standard_coordinates_and_its_bound_knows_the_scale():
    plain = models.build("mlp", (2,), width=0.05)[1]
    critic = models.build("mlp", (2,), width=0.05, standardize=True)[1]
    critic.load_state_dict(plain.state_dict(), strict=False)
    points = standard_points() * torch.tensor([4.0, 0.5]) + 3
    critic.coordinates.fit(points)
    torch.testing.assert_close(critic(points), plain(critic.coordinates.standard(points)))
    critic.coordinates.scale.fill_(4.0)
    bound = lipschitz_bounds(critic, (2,), slopes="product", samples=1, rounds=0).upper
    inner = lipschitz_bounds(plain, (2,), slopes="product", samples=1, rounds=0).upper
    assert bound == pytest.approx(inner / 4, rel=1e-5)


@pytest.mark.parametrize("method", ["sn", "wgan-gp", "r1", "dragan"])
def test_training_does_not_depend_on_the_units_of_the_data(method, tmp_path):
    generated = []
    # powers of two change no digit of a number
    for name, unit in (("small", 2.0**-6), ("large", 2.0**8)):
        path = tmp_path / f"{name}.npy"
        np.save(path, (standard_points() * unit).numpy())
        config = Config(data=str(path), method=METHODS[method], batch_size=16, steps=5)
        dataset = data.open_source(str(path))
        state = TrainState.build(config, dataset)
        for _ in range(5):
            train_step(config, state)
        generated.append(sample_average(state.average, 8, classes=(), seed=0) / unit)
    torch.testing.assert_close(*generated, rtol=1e-4, atol=1e-5)


def test_settings_of_a_run_of_before_keep_the_coordinates_of_the_data():
    before = Config(data="ring8", model=replace(Config().model, sample_shape=(2,)))
    state = TrainState.build(before, data.open_source("ring8"))
    assert state.generator.module.coordinates is None
    state = TrainState.build(Config(data="ring8"), data.open_source("ring8"))
    assert state.generator.module.coordinates is not None
