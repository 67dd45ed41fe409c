"""Steps that are repeated from a recording: equal bit for bit to steps that are called."""

import logging
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.training import AUGMENTED, TINY, assert_identical, build, tiny
from sngan import METHODS
from sngan.config import ModelConfig, PerformanceConfig
from sngan.data import Batch
from sngan.engine import train_step
from sngan.engine.averaging import GeneratorAverage
from sngan.engine.replay.step_replay import StepReplay

POINTS = ModelConfig(width=0.05, latent_dim=2)
STEPS = 9


def config(folder, wanted: str, **more):
    performance = PerformanceConfig(device="cpu", replay=wanted)
    fields = {"data": "ring8", "model": POINTS, "schedule": "linear", "ema_start": 6}
    return tiny(folder, performance=performance, **{**fields, **more})


def is_repeating(state) -> bool:
    return state.runtime.graph.is_repeating


def trained(one, *, between=None, steps: int = STEPS):
    """The terms and the state after some steps; ``between(state)`` is called before the seventh."""
    state, terms = build(one), []
    for step in range(steps):
        if between is not None and step == 6:
            between(state)
        terms.append(train_step(one, state))
    return [{key: value.item() for key, value in term.items()} for term in terms], state


def assert_equal_with_and_without(folder, between=None, **more):
    terms, state = trained(config(folder, "on", **more), between=between)
    called, other = trained(config(folder, "off", **more), between=between)
    assert not is_repeating(other)
    assert terms == called
    assert_identical(state.state_dict(), other.state_dict())
    return state


QUICK = ("vanilla", "sn", "wgan-gp", "bn", "r3gan")


@pytest.mark.bitwise
@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in METHODS
        if METHODS[name].optimizer == "adam"
    ],
)
def test_a_repeated_step_is_the_step(tmp_path, method):
    # points have no self-attention
    more = {
        "method": replace(METHODS[method], n_critic=2),
        "model": replace(POINTS, attention=0) if METHODS[method].image_attention else POINTS,
    }
    assert is_repeating(assert_equal_with_and_without(tmp_path, **more))


@pytest.mark.bitwise
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_every_optimizer_has_the_rate_of_its_step(tmp_path, optimizer, schedule):
    """A fused step takes its rate from Python; another one has it among its recorded numbers."""
    method = replace(METHODS["sn"], n_critic=1, optimizer=optimizer)
    state = assert_equal_with_and_without(tmp_path, method=method, schedule=schedule)
    assert is_repeating(state) == (optimizer != "rmsprop" or schedule == "constant")


@pytest.mark.bitwise
@pytest.mark.parametrize("by_class", [False, True])
def test_steps_of_images_are_repeated_if_asked_for(tmp_path, by_class):
    more = {"model": replace(TINY, conditional=by_class), "data": AUGMENTED}
    assert is_repeating(assert_equal_with_and_without(tmp_path, **more))


def test_auto_means_points_in_float32_that_are_not_compiled(tmp_path):
    assert is_repeating(trained(config(tmp_path, "auto"), steps=5)[1])
    images = config(tmp_path, "auto", data="digits", model=TINY)
    assert not is_repeating(trained(images, steps=5)[1])


@pytest.mark.slow
def test_what_cannot_be_repeated_says_so_if_it_was_asked_for(tmp_path, caplog):
    compiled = config(tmp_path, "on")
    build(replace(compiled, performance=replace(compiled.performance, compile="on")))
    assert "performance.replay: not repeated, compiled networks cannot be recorded" in caplog.text


def test_a_step_of_much_memory_is_called(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("sngan.engine.replay.recording._MOST_BYTES", 2**20)
    caplog.set_level(logging.INFO, "sngan")
    large = config(tmp_path, "on", batch_size=4096)
    assert not is_repeating(trained(large, steps=6)[1])
    assert "performance.replay: not repeated, a step computes more than 1 MiB" in caplog.text


def write_weight(state):
    with torch.no_grad():
        next(state.critic.module.parameters()).mul_(3.0)


def move_weights(state):
    weight = next(state.generator.module.parameters())
    weight.data = weight.data.clone() * 0.5


def load_older(state):
    saved = build(config("unused", "off")).state_dict()
    state.load_state_dict({**saved, "step": state.step})


def change_options(state):
    for optimizer in (state.critic_optimizer, state.generator_optimizer):
        optimizer.param_groups[0].update(betas=(0.5, 0.99), weight_decay=0.1, eps=1e-3)


@pytest.mark.bitwise
@pytest.mark.parametrize("change", [write_weight, move_weights, load_older, change_options])
def test_changes_from_outside_are_followed(tmp_path, change):
    assert_equal_with_and_without(tmp_path, between=change)


def test_other_settings_are_other_steps(tmp_path):
    one = config(tmp_path, "on", schedule="constant")
    other = replace(one, method=replace(one.method, loss="wasserstein"))
    results = []
    for wanted in ("on", "off"):
        state = build(replace(one, performance=PerformanceConfig(device="cpu", replay=wanted)))
        for each in (one, other):
            for _ in range(6):
                train_step(each, state)
        results.append(state.state_dict())
    assert_identical(*results)


def test_results_of_a_step_outlive_the_next(tmp_path):
    one = config(tmp_path, "on")
    state = build(one)
    terms = [train_step(one, state)["critic_loss"] for _ in range(STEPS)]
    assert len({term.item() for term in terms}) == STEPS


def test_work_is_called_until_it_is_recorded():
    work = partial(lambda batches: {"sum": batches[0].samples.sum()})
    step = StepReplay(is_wanted=True)
    results = [step(work, [Batch(torch.full((4,), float(i)), None)])["sum"] for i in range(8)]
    assert [result.item() for result in results] == [4.0 * i for i in range(8)]
    assert step.is_repeating


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: float(bool((x > 2).any())),
        lambda x: float(torch.equal(x, x.round() * 2)),
        lambda x: float(len(x.nonzero())),
        lambda x: float(len(x[x > 2])),
        lambda x: float(len(x.unique())),
    ],
)
def test_work_that_reads_a_value_is_always_called(caplog, read):
    caplog.set_level(logging.INFO, "sngan")
    seen = []

    def work(batches):
        seen.append(read(batches[0].samples))
        return {"x": batches[0].samples * seen[-1]}

    step, bound = StepReplay(is_wanted=True), partial(work)
    for number in range(8):
        batch = Batch(torch.full((4,), float(number)), None)
        assert torch.equal(step(bound, [batch])["x"], batch.samples * read(batch.samples))
    assert len(seen) == 8
    assert not step.is_repeating
    assert "reads a value on the host" in caplog.text


OPERATIONS = {
    "add": lambda a, b: a + b,
    "product": lambda a, b: a @ b,
    "transposed": lambda a, b: (a.t() - b).relu(),
    "in place": lambda a, b: a.mul_(0.5).add_(b),
    "row": lambda a, b: a[1].mul_(0.25).expand(4, 4) + b.reshape(2, 8).view(4, 4),
    "constant": lambda a, b: torch.ones_like(a) * torch.arange(4.0) + b,
    "filled": lambda a, b: torch.zeros(4, 4).add_(a).sub_(b),
    "random": lambda a, b: torch.randn(4, 4) * a + torch.rand_like(b),
    "lists": lambda a, b: torch.stack(torch._foreach_mul([a, b], 0.5)).sum(0),
    "several": lambda a, b: torch.cat(torch.var_mean(a * b, dim=0, keepdim=True)).repeat(2, 1),
    "largest": lambda a, b: a.max(1).values + b.sort(0).values,
    "mixed": lambda a, b: torch.where(a.double() > b, a, torch.tensor(0.5)).float(),
    "gradient": lambda a, b: torch.func.grad(lambda x: (x.sigmoid() @ b).sin().sum())(a),
}


@settings(max_examples=30, deadline=None)
@given(
    program=st.lists(
        st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
        max_size=10,
    )
)
def test_any_program_of_operations_is_repeated(program):
    """Values of earlier steps stay in ``memory``, which the program changes in place."""

    def work(memory, batches):
        values = [*memory, batches[0].samples]
        for name, left, right in program:
            result = OPERATIONS[name](values[left % len(values)], values[right % len(values)])
            values.append(result.clamp(-9, 9))
        memory[0].lerp_(values[-1], 0.5)
        return {"last": values[-1], "memory": memory[0].clone()}

    outcomes = []
    for is_wanted in (True, False):
        torch.manual_seed(0)
        memory = [torch.randn(4, 4), torch.randn(4, 4)]
        batches = torch.randn(8, 4, 4).unbind()
        step, bound = StepReplay(is_wanted=is_wanted), partial(work, memory)
        results = [step(bound, [Batch(batch.clone(), None)]) for batch in batches]
        assert step.is_repeating == is_wanted
        outcomes.append([{key: value.clone() for key, value in one.items()} for one in results])
    assert_identical(*outcomes)


def test_memory_is_reused_only_where_nothing_outside_holds_it():
    """``held`` keeps a result of the recorded step, whose memory each repetition writes."""
    held, memory = {}, torch.zeros(64)

    def work(memory, batches):
        memory.add_(batches[0].samples)
        values = [memory * factor for factor in range(8)]
        held.setdefault("first", []).append(values[3])
        return {"sum": torch.stack([(value + 1).square() for value in values]).sum()}

    step, bound = StepReplay(is_wanted=True), partial(work, memory)
    for _ in range(9):
        step(bound, [Batch(torch.ones(64), None)])
    assert step.is_repeating
    assert len(held["first"]) == 4
    assert torch.equal(held["first"][-1], torch.full((64,), 27.0))


def test_the_average_is_that_of_torch():
    """Batch norm counts its batches in an integer buffer, which is averaged too."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).double())
    update = get_ema_multi_avg_fn(0.9)
    own = GeneratorAverage(network, multi_avg_fn=update)
    theirs = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    for step in range(6):
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.add_(torch.ones_like(tensor) * step)
        for average in (own, theirs):
            if step == 3:
                average.n_averaged.zero_()
            average.update_parameters(network)
        assert_identical(own.state_dict(), theirs.state_dict())
