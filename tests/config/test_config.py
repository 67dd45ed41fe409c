"""Settings: one meaning from Python, YAML and flags; errors that name the setting."""

import dataclasses

import pytest

from sngan import METHODS, Config, config
from sngan.cli import flags
from sngan.config import DataConfig, ModelConfig
from sngan.utils.plain import flatten


def test_plain_names_stand_for_their_groups():
    short = Config(data="ring8", method="wgan", model="mlp")
    assert short.data == DataConfig(source="ring8")
    assert short.model == ModelConfig(name="mlp")
    assert short.method == METHODS["wgan"]
    assert short.out == "runs/ring8-wgan"


def test_yaml_round_trip_is_complete(tmp_path):
    original = config.from_dict(
        {
            "data": {"source": "photos", "flip": True},
            "method": {"name": "wgan-gp", "n_critic": 2, "betas": [0, 0.5]},
            "model": {"name": "cnn", "sample_shape": [3, 32, 32]},
            "steps": 7,
        }
    )
    config.save(original, tmp_path / "config.yaml")
    assert config.load(tmp_path / "config.yaml") == original
    flat = flatten(config.to_dict(original))
    assert flat["method.loss"] == "wasserstein"
    assert flat["method.betas"] == [0.0, 0.5]
    assert flat["model.sample_shape"] == [3, 32, 32]
    assert {f.name for f in dataclasses.fields(Config)} == {key.split(".")[0] for key in flat}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vanilla", {"loss": "non_saturating", "n_critic": 1}),
        ("lsgan", {"loss": "least_squares"}),
        ("wgan", {"clip": 0.01, "optimizer": "rmsprop", "lr": 5e-5, "n_critic": 5}),
        ("wgan-gp", {"penalty_weight": 10.0, "lr": 1e-4, "betas": (0.0, 0.9), "n_critic": 5}),
        ("sn", {"loss": "hinge", "spectral_norm": "matrix", "lr": 2e-4, "n_critic": 5}),
    ],
)
def test_recipes_hold_their_papers_figures(name, expected):
    recipe = METHODS[name]
    assert {key: getattr(recipe, key) for key in expected} == expected
    assert "arXiv:" in recipe.paper


def test_recipe_fields_can_be_overridden_and_none_keeps_the_recipe():
    resolved = config.from_dict({"method": {"name": "sn", "lr": 1e-3, "n_critic": None}})
    assert resolved.method == dataclasses.replace(METHODS["sn"], lr=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepz": 3}, r"config: expected one of .*, got 'stepz' \(did you mean steps"),
        ({"data": {"flop": True}}, r"got 'data.flop' \(did you mean data.flip"),
        ({"method": {"name": "sn", "lrr": 1.0}}, r"did you mean method.lr"),
        ({"method": "sm"}, r"method: expected one of .*, got 'sm' \(did you mean sn"),
        ({"model": "resnit"}, "model: expected .*did you mean resnet"),
        ({"steps": 0}, "steps: expected an integer of at least 1, got 0"),
        ({"steps": 2.5}, "steps: expected an integer"),
        # 0 turns these off
        ({"keep_every": -1}, "keep_every: expected an integer of at least 0, got -1"),
        ({"keep_every": False}, "keep_every: expected an integer of at least 0, got False"),
        ({"model": {"attention": -1}}, "model.attention: expected an integer of at least 0, got"),
        ({"evaluation": {"every": 0.5}}, "evaluation.every: expected an integer of at least 0"),
        ({"batch_size": -4}, "batch_size: expected"),
        ({"ema_decay": 1.5}, "ema_decay: expected a finite number of at least 0 and of at most 1"),
        ({"method": {"lr": float("nan")}}, "method.lr: expected a finite number above 0, got nan"),
        ({"method": {"betas": [0.5]}}, "method.betas: expected two numbers"),
        ({"method": {"loss": "hing"}}, "method.loss: expected"),
        ({"data": {"channels": 2}}, "data.channels: expected 1, 3 or 4, got 2"),
        ({"schedule": "cubic"}, "schedule: expected one of constant, cosine, linear, got"),
    ],
)
def test_bad_settings_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(values)


def test_changes_ignore_what_may_change():
    old = Config(steps=10, out="a")
    new = Config(steps=20, out="b", seed=1, method="wgan")
    settings = flatten(config.to_dict(old))
    changed = config.changes(settings, new)
    assert "seed: 0 → 1" in changed
    assert any(line.startswith("method.name: 'sn' → 'wgan'") for line in changed)
    assert not any(line.startswith(("steps", "out")) for line in changed)
    assert config.changes(settings, Config(steps=99, out="c")) == []


def test_short_names_are_unique_and_reach_every_group():
    short = flags.short_names()
    assert short["width"] == "model.width"
    assert short["n_critic"] == "method.n_critic"
    assert short["data"] == "data.source"
    assert short["method"] == "method.name"
    assert "name" not in short


def test_expand_writes_short_forms_out():
    argv = ["--data", "x", "--n-critic=2", "--set", "width=0.5", "steps=3", "--resume"]
    assert flags.expand(argv) == [
        "--data.source",
        "x",
        "--method.n_critic=2",
        "--model.width=0.5",
        "--steps=3",
        "--resume",
    ]
    with pytest.raises(ValueError, match="set: expected key=value, got 'width'"):
        flags.expand(["--set", "width"])
