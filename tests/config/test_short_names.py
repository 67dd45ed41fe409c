"""Config takes the short names of settings that the command line takes."""

import dataclasses
import pickle

import pytest

from sngan import Config
from sngan.config import from_dict, keys_by_short_name
from sngan.utils.plain import flatten

KEYS = {name: keys for name, keys in keys_by_short_name(Config).items()}  # noqa: C416
UNIQUE = {name: keys[0] for name, keys in KEYS.items() if len(keys) == 1}


@pytest.mark.parametrize("name", sorted(UNIQUE))
def test_a_short_name_means_the_setting_of_its_group(name):
    key = UNIQUE[name]
    plain = Config()
    value = flatten(dataclasses.asdict(plain)).get(key)
    group, _, leaf = key.rpartition(".")
    if value is None:
        pytest.skip("it is off, or has no default")
    if not group:
        assert Config(**{name: value}) == from_dict({name: value})
        return
    short = Config(**{name: value})
    long = dataclasses.replace(
        plain, **{group: dataclasses.replace(getattr(plain, group), **{leaf: value})}
    )
    assert dataclasses.replace(short, out="x") == dataclasses.replace(long, out="x")


def test_names_of_several_groups_and_unknown_ones_are_refused_in_a_line():
    assert [name for name, keys in KEYS.items() if len(keys) > 1] == ["name", "init"]
    # a setting without a group keeps its name
    assert (Config(init="runs/a").init, Config(init="runs/a").model.init) == ("runs/a", "auto")
    with pytest.raises(ValueError, match=r"^config: expected name inside its group, method or mo"):
        Config(name="sn")
    with pytest.raises(ValueError, match=r"^config: expected one of .* \(did you mean lr"):
        Config(lrr=1e-3)
    with pytest.raises(ValueError, match=r"^method.lr: expected a finite number above 0, got -1"):
        Config(lr=-1)


def test_short_names_join_groups_and_names_of_groups():
    config = Config("ring8", method="wgan-gp", penalty_weight="2->0.2", width=0.5)
    assert config.data.source == "ring8"
    assert (config.method.loss, config.method.penalty_weight.end) == ("wasserstein", 0.2)
    assert config.out == "runs/ring8-wgan-gp"
    assert Config(source="grid25").out == "runs/grid25-sn"
    assert dataclasses.replace(config, n_critic=9).method.n_critic == 9
    assert pickle.loads(pickle.dumps(config)) == config
