"""Defaults by model family: they equal the value for images; a given value is never replaced."""

import copy
import pickle
from dataclasses import asdict, replace

import pytest
import yaml

from sngan import METHODS, Config, data
from sngan import config as configs
from sngan.config import ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.engine.resolve import resolve_config
from sngan.methods import named
from sngan.utils.families import FamilyDefault, by_family, left_out_as_in, of_family

PAIRS = [(2e-4, 2e-3), (64, 256), ("constant", "linear"), ((0.0, 0.9), (0.5, 0.999))]


def leaves(values):
    for value in values.values():
        yield from leaves(value) if isinstance(value, dict) else [value]


@pytest.mark.parametrize(("images", "points"), PAIRS)
def test_a_default_behaves_as_the_value_for_images(images, points):
    default = by_family(images, points=points)
    assert default == images
    assert hash(default) == hash(images)
    assert isinstance(default, type(images))
    assert f"{default}" == f"{images}"
    assert default + default == images + images


@pytest.mark.parametrize(("images", "points"), PAIRS)
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_of_a_default_still_knows_both_values(images, points, copied):
    default = copied(by_family(images, points=points))
    assert (default, default.points) == (images, points)


def test_left_out_settings_get_the_value_of_their_family():
    config = Config(method=replace(METHODS["sn"], lr=by_family(2e-4, points=3e-3)))
    config = replace(config, batch_size=by_family(64, points=32))
    points, images = of_family(config, "points"), of_family(config, "images")
    assert (points.batch_size, points.method.lr) == (32, 3e-3)
    assert (images.batch_size, images.method.lr) == (64, 2e-4)
    for resolved in (points, images):
        assert not any(isinstance(value, FamilyDefault) for value in leaves(asdict(resolved)))
        assert of_family(resolved, "points") is resolved


@pytest.mark.parametrize(
    "given",
    [
        Config(batch_size=64, model=ModelConfig(latent_dim=128, width=1.0), schedule="constant"),
        configs.from_dict(
            {"batch_size": 64, "model": {"latent_dim": 128, "width": 1.0}, "schedule": "constant"}
        ),
    ],
)
def test_a_given_setting_is_never_replaced_even_if_it_equals_the_default(given):
    resolved = resolve_config(given, data.open_source("ring8"))
    assert (resolved.batch_size, resolved.schedule) == (64, "constant")
    assert (resolved.model.latent_dim, resolved.model.width) == (128, 1.0)


@pytest.mark.parametrize("name", METHODS)
def test_a_given_value_of_a_recipe_is_never_replaced(name):
    recipe = METHODS[name]
    lr = of_family(recipe, "images").lr
    for method in (named(name, lr=lr), replace(recipe, lr=lr)):
        assert of_family(method, "points").lr == recipe.lr


def test_a_saved_file_holds_plain_values_only(tmp_path):
    path = tmp_path / "config.yaml"
    config = resolve_config(Config(data="ring8"), data.open_source("ring8"))
    configs.save(config, path)
    assert yaml.safe_load(path.read_text())["batch_size"] == config.batch_size
    assert configs.load(path) == config


def test_settings_of_points_and_images_differ_only_where_they_were_left_out():
    points = resolve_config(Config(data="ring8"), data.open_source("ring8"))
    images = resolve_config(Config(data="digits"), data.open_source("digits"))
    assert points.batch_size == Config().batch_size.points != images.batch_size == 64
    assert points.model.latent_dim != images.model.latent_dim == 128


def test_left_out_settings_of_a_resumed_run_are_those_of_the_run():
    own = Config(batch_size=7, method=named("sn", lr=0.5))
    asked = Config(method=replace(METHODS["sn"], lr=by_family(1.0, points=2.0)), steps=3)
    kept = left_out_as_in(asked, own)
    assert (kept.batch_size, kept.method.lr, kept.steps) == (7, 0.5, 3)


def test_a_step_uses_the_defaults_of_its_data_with_settings_that_are_not_resolved():
    config = replace(Config(data="ring8"), ema_decay=0.5)
    config = replace(config, method=replace(config.method, lr=by_family(1e-9, points=1e-2)))
    state = TrainState.build(config, data.open_source("ring8"))
    train_step(config, state)
    assert state.critic_optimizer.param_groups[0]["lr"] == 1e-2


@pytest.mark.parametrize(("parts", "pack"), [(128, 1), (256, 1), (64, 4), (64, 2)])
def test_a_batch_that_was_left_out_need_only_fit_one_family(parts, pack):
    config = Config(
        data="ring8", model=ModelConfig(pack=pack), performance=PerformanceConfig(accumulate=parts)
    )

    assert config.for_points.batch_size == 256
    with pytest.raises(ValueError, match=r"performance\.accumulate|model\.pack"):
        _ = config.for_images


def test_a_batch_that_fits_no_family_is_refused_at_once():
    with pytest.raises(ValueError, match=r"performance\.accumulate: expected a divisor of the 64"):
        Config(performance=PerformanceConfig(accumulate=3))
