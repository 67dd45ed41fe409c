"""A finished run that goes on to more steps equals one that had these steps from the beginning."""

from dataclasses import replace

import pytest
import torch

from helpers import tiny_run
from sngan.engine import train as training
from sngan.methods import named
from sngan.runs import checkpoint


def operator_config(out, source, **settings):
    method = replace(named(name="sn-operator"), n_critic=1)
    return tiny_run.config_of(out, source, method=method, schedule="constant", **settings)


def last_state(run):
    state = checkpoint.read(run / "checkpoints" / "last.pt")
    # a record of health comes with the last step of a run, too
    return {key: part for key, part in state.items() if key not in ("seconds", "extremes")}


@pytest.mark.parametrize("stops", [(1,), pytest.param((2, 3), marks=pytest.mark.slow)])
@pytest.mark.bitwise
def test_a_certified_run_goes_on_as_if_it_had_not_been_certified(tmp_path, stops):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    training.train(operator_config(whole, source, steps=4))
    for steps in (*stops, 4):
        training.train(operator_config(longer, source, steps=steps), resume=steps != stops[0])
    assert tiny_run.same(last_state(whole), last_state(longer))


def test_the_critic_of_a_finished_run_is_the_certified_one(tmp_path):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    config = operator_config(tmp_path / "run", source, steps=1)
    training.train(config)
    state = last_state(tmp_path / "run")
    certified, before = state["critic"], state["uncertified"]["critic"]
    assert any(not torch.equal(certified[name], before[name]) for name in certified)
    # a resume without more steps leaves the certified critic where it is
    training.train(config, resume=True)
    assert tiny_run.same(last_state(tmp_path / "run"), state)
