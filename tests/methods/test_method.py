"""Methods: parts that are off, in every spelling, from Python, files and flags."""

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import sngan
from sngan import config as configs
from sngan.cli import main
from sngan.config import Config
from sngan.methods import METHODS, Method, named

PARTS = {
    "spectral_norm": (st.sampled_from(["matrix", "operator"]), "none"),
    "critic_norm": (st.sampled_from(["layer"]), "none"),
    "penalty": (st.sampled_from(sorted(sngan.penalties.PENALTIES)), "none"),
    "clip": (st.floats(1e-3, 1.0), 0.0),
    "orthonormal": (st.floats(1e-3, 1.0), 0.0),
}


@given(st.fixed_dictionaries({name: st.none() | value for name, (value, _) in PARTS.items()}))
def test_a_method_is_read_from_its_file_as_it_was(parts):
    config = replace(Config(data="ring8"), method=Method(name="wgan-gp", **parts))
    written = configs.to_dict(config)
    for name, value in parts.items():
        assert getattr(config.method, name) == value
        # in files null stands for the value of the recipe
        assert written["method"][name] == (PARTS[name][1] if value is None else value)
    assert configs.from_dict(yaml.safe_load(yaml.safe_dump(written))) == config
    assert configs.from_dict(json.loads(json.dumps(written))) == config


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_spelling_of_off_is_none(method, name):
    off = replace(METHODS[method], **{name: None})
    for spelling in ("none", 0, 0.0, ""):
        assert replace(METHODS[method], **{name: spelling}) == off
    assert named(method, **{name: PARTS[name][1]}) == off
    assert named(method, **{name: None}) == METHODS[method]


@pytest.mark.parametrize("value", [False, [], (), {}, True, -1, float("nan"), "off"])
@pytest.mark.parametrize("name", ["clip", "orthonormal"])
def test_only_numbers_weigh_a_part(name, value):
    expected = rf"method\.{name}: expected a finite number of at least 0, got "
    with pytest.raises(ValueError, match=expected):
        Method(**{name: value})


@pytest.mark.parametrize("method", METHODS)
def test_off_by_flags_is_written_as_before(method, capsys):
    flags = [part for name, (_, off) in PARTS.items() for part in (f"--{name}", str(off))]
    assert main(["train", "--data", "ring8", "--method", method, *flags, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)["method"]
    assert {name: printed[name] for name in PARTS} == {
        name: off for name, (_, off) in PARTS.items()
    }
    assert named(**printed) == replace(METHODS[method], **dict.fromkeys(PARTS))


@pytest.mark.parametrize("name", ["spectral_norm", "critic_norm", "penalty", "optimizer", "loss"])
def test_an_unknown_choice_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=rf"method\.{name}: expected one of .*, got 'nothing'"):
        Method(**{name: "nothing"})


def test_the_help_names_every_method(capsys):
    for command in ("train", "compare"):
        assert main([command, "--help"]) == 0
        printed = "".join(capsys.readouterr().out.split())
        assert ",".join(METHODS) in printed
