"""Schedules in training: rates, β₂, penalty weight and average, against closed forms."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from helpers.training import TINY, NoWaiting, assert_identical, build, metrics, tiny
from sngan import METHODS
from sngan.engine import train as training
from sngan.engine import train_step
from sngan.engine.steps import critic_step
from sngan.methods import named

STEPS = 8
MOVING = named(
    "r1",
    lr="1e-3->1e-4",
    lr_critic="cosine 4e-3->1e-4",
    betas=(0.0, "0.9->0.99"),
    penalty_weight="2->0.2",
)


def moving(folder, **settings):
    fields = {"data": "ring8", "steps": STEPS, "ema_decay": "0.5->0.9", "ema_start": 0}
    return tiny(folder, **{**fields, "method": MOVING, **settings})


def test_every_value_has_its_closed_form(tmp_path):
    config = moving(tmp_path)
    state = build(config)
    for step in range(STEPS):
        train_step(config, state)
        share = step / STEPS
        (generator,), (critic,) = (
            one.param_groups for one in (state.generator_optimizer, state.critic_optimizer)
        )
        assert generator["lr"] == pytest.approx(1e-3 - 9e-4 * share)
        expected = 1e-4 + 39e-4 * (1 + math.cos(math.pi * share)) / 2
        assert critic["lr"] == pytest.approx(expected)
        for group in (generator, critic):
            assert group["betas"] == pytest.approx((0.0, 0.9 + 0.09 * share))
        assert state.scheduled.penalty_weight(config).item() == pytest.approx(2 - 1.8 * share)
        assert state.scheduled.ema.decay == pytest.approx(0.5 + 0.4 * share)


def test_the_schedule_is_a_factor_on_rates_that_are_numbers(tmp_path, caplog):
    caplog.set_level("INFO", "sngan")
    for word, factor in (("linear", 0.75), ("cosine", (1 + math.sqrt(0.5)) / 2), ("constant", 1)):
        method = named("sn", lr=1e-3, lr_critic="1e-2->0.1")
        config = tiny(tmp_path, data="ring8", method=method, schedule=word, steps=4)
        state = build(config)
        state.scheduled.move_to(1, config)
        assert state.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * factor)
        assert state.critic_optimizer.param_groups[0]["lr"] == pytest.approx(0.0325)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == 2 * [
        "method.lr_critic goes 0.01->0.1 by itself, without the factor of schedule"
    ]


@pytest.mark.parametrize("name", METHODS)
def test_two_time_scales_for_every_method(tmp_path, name):
    """The rate of the critic is its own, and the schedule applies to both."""
    method = replace(METHODS[name], lr=1e-3, lr_critic=4e-3, betas=(0.0, 0.9))
    model = replace(TINY, attention=None)
    fields = {"data": "ring8", "model": model, "steps": 4}
    config = tiny(tmp_path, method=method, schedule="linear", **fields)
    state = build(config)
    state.scheduled.move_to(2, config)
    assert state.generator_optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert state.critic_optimizer.param_groups[0]["lr"] == pytest.approx(2e-3)
    same = build(tiny(tmp_path, method=replace(method, lr_critic=None), **fields))
    assert same.critic_optimizer.param_groups[0]["lr"] == 1e-3


def test_the_penalty_weight_of_a_step_is_in_its_gradient(tmp_path):
    """A schedule at one of its values is the number, up to the rounding of a tensor."""
    states = []
    for weight in ("4->0", 3.0):
        method = named("r1", penalty_weight=weight)
        config = tiny(tmp_path, data="ring8", method=method, steps=4)
        state = build(config)
        state.step = 1
        torch.manual_seed(3)
        train_step(config, state)
        states.append(state.critic.module.state_dict())
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name])


@pytest.mark.parametrize("number", [True, False])
def test_a_step_obeys_the_settings_that_it_is_given(tmp_path, number):
    """The state may have been built for other rates, weights and averages of the same networks."""
    given = replace(MOVING, lr=3e-3, penalty_weight=7.0) if number else MOVING
    config = moving(tmp_path, method=given, ema_decay=0.75 if number else "0.5->0.9")
    other = moving(tmp_path, method=named("r1", penalty_weight=0.1), ema_decay=0.1, steps=90)
    results = []
    for built_for in (config, other):
        state = build(built_for)
        state.critic_optimizer.param_groups[0]["betas"] = (0.0, 0.9)
        state.generator_optimizer.param_groups[0]["betas"] = (0.0, 0.9)
        torch.manual_seed(3)
        for _ in range(6):
            train_step(config, state)
        results.append((state.critic.module.state_dict(), state.average.state_dict()))
    assert_identical(*results)


def test_settings_that_leave_the_average_out_keep_that_of_the_run(tmp_path):
    config = tiny(tmp_path, data="ring8", method="r3gan", steps=8, ema_start=0)
    state = build(config)
    state.step = 4
    train_step(config, state)
    # the half-life is half of a fortieth of the run's 64 samples
    assert state.scheduled.ema.decay == pytest.approx(0.5 ** (8 / (0.5 * 64 / 40)))


def test_a_half_life_in_images_halves_a_weight(tmp_path):
    """After h images at batch b, a weight counts 1/2, for any b."""
    for batch in (4, 8):
        config = tiny(tmp_path, data="ring8", batch_size=batch, ema_halflife=32, ema_start=0)
        state = build(config)
        assert state.scheduled.ema.decay ** (32 // batch) == pytest.approx(0.5)
    config = replace(config, ema_halflife="0->64")
    state = build(config)
    assert state.scheduled.ema.decay == 0.0
    state.scheduled.move_to(config.steps // 2, config)
    assert state.scheduled.ema.decay ** (32 // config.batch_size) == pytest.approx(0.5)


def test_the_average_follows_a_decay_that_moves(tmp_path):
    config = moving(tmp_path)
    state = build(config)
    expected = None
    for step in range(STEPS):
        train_step(config, state)
        current = next(state.generator.module.parameters()).detach().clone()
        decay = 0.5 + 0.4 * step / STEPS
        expected = current if expected is None else decay * expected + (1 - decay) * current
        torch.testing.assert_close(next(state.average.module.parameters()), expected)


@pytest.mark.bitwise
def test_a_resumed_run_goes_on_with_its_schedules(tmp_path):
    config = moving(tmp_path)
    whole, half = build(config), build(config)
    torch.manual_seed(1)
    for _ in range(STEPS):
        train_step(config, whole)
    torch.manual_seed(1)
    for _ in range(STEPS // 2):
        train_step(config, half)
    saved = copy.deepcopy(half.state_dict())
    resumed = build(config)
    resumed.load_state_dict(saved)
    for _ in range(STEPS // 2):
        train_step(config, resumed)
    assert_identical(whole.state_dict(), resumed.state_dict())


def test_a_step_waits_for_nothing(tmp_path):
    config = moving(tmp_path)
    state = build(config)
    train_step(config, state)
    steps = [kept["step"] for kept in state.critic_optimizer.state.values()]
    with NoWaiting(steps):
        state.scheduled.move_to(3, config)
        critic_step(config, state, state.sampler.take())


def test_the_records_have_the_values(tmp_path):
    run = training.train(moving(tmp_path / "run", log_every=4))
    last = metrics(run.folder)[-1]
    assert last["lr"] == pytest.approx(1e-3 - 9e-4 * 7 / 8)
    assert last["penalty_weight"] == pytest.approx(2 - 1.8 * 7 / 8)
    assert last["ema_decay"] == pytest.approx(0.5 + 0.4 * 7 / 8)
    assert last["lr_critic"] > 1e-4
    plain = training.train(tiny(tmp_path / "plain", data="ring8", steps=4, log_every=4))
    assert {"lr_critic", "penalty_weight", "ema_decay"}.isdisjoint(metrics(plain.folder)[-1])
