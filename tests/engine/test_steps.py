"""Training steps: which weights they change, by which losses, without waiting for the device."""

import copy
from dataclasses import replace

import pytest
import torch

from helpers.training import (
    AUGMENTED,
    BY_CLASS,
    TINY,
    NoWaiting,
    assert_identical,
    build,
    metrics,
    tiny,
)
from sngan import METHODS
from sngan.engine import critic_step, generator_step, steps, train_step
from sngan.engine import train as training
from sngan.engine.nan_guard import NanGuard
from sngan.engine.steps import draw_noise, update_average
from sngan.losses import LOSSES


def test_the_guard_against_waiting_works():
    known = torch.ones(())
    with NoWaiting([known]):
        known.item()
        with pytest.raises(AssertionError):
            torch.ones(()).item()
        with pytest.raises(AssertionError):
            bool(torch.ones(1) > 0)
        with pytest.raises(AssertionError):
            torch.ones(3).nonzero()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("by_class", [False, True], ids=["plain", "by-class-augmented"])
def test_no_step_waits_for_the_device(tmp_path, method, by_class):
    more = {"model": BY_CLASS, "data": AUGMENTED} if by_class else {}
    config = tiny(tmp_path, method=method, **more)
    state = build(config)
    watch = NanGuard(state.runtime.device)
    # a first pass outside the guard builds the optimizers' state
    terms = critic_step(config, state, state.sampler.take())
    terms |= generator_step(config, state, state.sampler.take())
    optimizers = (state.critic_optimizer, state.generator_optimizer)
    counters = [kept["step"] for o in optimizers for kept in o.state.values()]
    assert all(counter.device.type == "cpu" for counter in counters)
    update_average(state, start=0)
    # the average counts on the host, so that its branch on the count waits for nothing
    assert state.average.n_averaged.device.type == "cpu"
    with NoWaiting(counters):
        terms = critic_step(config, state, state.sampler.take())
        terms |= generator_step(config, state, state.sampler.take())
        watch.update(terms, 1)


def test_each_step_gives_gradients_to_its_own_network_only(tmp_path):
    config = tiny(tmp_path)
    state = build(config)
    critic_step(config, state, state.sampler.take())
    assert all(p.grad is None for p in state.generator.parameters())
    assert all(p.grad is not None for p in state.critic.parameters())
    state.critic_optimizer.zero_grad()
    generator_step(config, state, state.sampler.take())
    assert all(p.grad is None for p in state.critic.parameters())
    assert all(p.requires_grad for p in state.critic.parameters())
    assert all(p.grad is not None for p in state.generator.parameters())


def test_the_critic_is_normalized_and_the_clipped_one_is_inside_the_box(tmp_path):
    for method in ("sn", "wgan"):
        config = tiny(tmp_path / method, method=method)
        state = build(config)
        for _ in range(5):
            critic_step(config, state, state.sampler.take())
        weights = [p for p in state.critic.parameters() if p.dim() > 1]
        if method == "sn":
            norms = [torch.linalg.svdvals(w.detach().flatten(1))[0].item() for w in weights]
            assert norms == pytest.approx([1.0] * len(norms), rel=0.1)
        else:
            assert max(p.abs().max().item() for p in state.critic.parameters()) <= 0.01


def test_batch_norm_sees_real_and_fake_samples_apart(tmp_path):
    config = tiny(tmp_path, method="bn")
    state = build(config)
    sizes = []
    state.critic.module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    terms = critic_step(config, state, state.sampler.take())
    assert sizes == [8, 8]
    twin = build(config)
    real = twin.sampler.next().samples
    with torch.no_grad():
        fake = twin.generator(draw_noise(twin, 8))
        apart = [twin.critic.module(batch) for batch in (real, fake)]
        mixed = twin.critic.module(torch.cat([real, fake])).chunk(2)
    loss = LOSSES["non_saturating"].critic
    assert terms["critic_loss"].item() == pytest.approx(loss(*apart).item(), rel=1e-6)
    assert terms["critic_loss"].item() != pytest.approx(loss(*mixed).item(), rel=1e-6)


def test_other_critics_see_both_in_one_forward(tmp_path):
    for method in ("sn", "ln", "wn"):
        state = build(config := tiny(tmp_path, method=method))
        sizes = []
        hook = state.critic.module.register_forward_pre_hook
        hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
        critic_step(config, state, state.sampler.take())
        assert sizes == [16]


def test_the_penalty_counts_with_its_weight(tmp_path):
    """Closed form: with a weight of 0 the loss is the same, and so is its gradient."""
    norms = {}
    for weight in (0.0, 1e3):
        method = replace(METHODS["r1"], penalty_weight=weight)
        state = build(config := tiny(tmp_path, method=method))
        terms = critic_step(config, state, state.sampler.take())
        assert terms["penalty"] > 0
        norms[weight] = terms["critic_gradient_norm"].item()
    plain = replace(METHODS["r1"], penalty="none")
    state = build(config := tiny(tmp_path, method=plain))
    without = critic_step(config, state, state.sampler.take())["critic_gradient_norm"].item()
    assert norms[0.0] == pytest.approx(without, rel=1e-6)
    assert norms[1e3] != pytest.approx(without, rel=1e-3)


def test_orthonormal_regularization_orthonormalizes(tmp_path):
    method = replace(METHODS["orthonormal"], lr=1e-2)
    state = build(config := tiny(tmp_path, method=method))
    for _ in range(300):
        terms = critic_step(config, state, state.sampler.take())
    for kernel in state.critic.module.parameters():
        if kernel.dim() > 1:
            values = torch.linalg.svdvals(kernel.detach().flatten(1))
            assert values.tolist() == pytest.approx([1.0] * len(values), abs=0.3)
    assert terms["orthonormal"].item() < 1


def test_relativistic_generator_steps_take_the_next_real_batch(tmp_path):
    for method, batches in (("sn", 1), ("r3gan", 2)):
        state = build(config := tiny(tmp_path, method=replace(METHODS[method], n_critic=1)))
        train_step(config, state)
        assert state.sampler.state_dict()["position"] == 8 * batches


def test_n_critic_is_the_ratio_of_optimizer_steps(tmp_path, monkeypatch):
    counts = {"critic": 0, "generator": 0}
    for name in counts:
        real_step = getattr(steps, f"{name}_step")

        def counting_step(*args, name=name, real_step=real_step):
            counts[name] += 1
            return real_step(*args)

        monkeypatch.setattr(steps, f"{name}_step", counting_step)
    training.train(tiny(tmp_path / "run", method=replace(METHODS["sn"], n_critic=3), steps=4))
    assert counts == {"critic": 12, "generator": 4}


def test_average_follows_its_recursion(tmp_path):
    config = tiny(tmp_path, ema_decay=0.8, ema_start=2)
    state = build(config)
    expected = None
    for step in range(1, 6):
        generator_step(config, state, state.sampler.take())
        state.step = step
        update_average(state, start=config.ema_start)
        current = next(state.generator.module.parameters()).detach().clone()
        expected = current if step <= 2 else 0.8 * expected + 0.2 * current
        torch.testing.assert_close(next(state.average.module.parameters()), expected)


def test_linear_schedule_goes_to_zero(tmp_path):
    run = training.train(tiny(tmp_path / "run", schedule="linear", steps=20))
    rates = [record["lr"] for record in metrics(run.folder)]
    assert rates == pytest.approx([2e-4 * (1 - done / 20) for done in (4, 9, 14, 19)])


def test_moments_may_come_in_another_memory_format(tmp_path):
    """Of which torch's fused optimizers take no notice, and are wrong then."""
    config = tiny(tmp_path, model=replace(TINY, name="cnn"))
    state, twin = build(config), build(config)
    train_step(config, state)
    saved = copy.deepcopy(state.state_dict())
    moments = [kept["exp_avg"] for kept in saved["critic_optimizer"]["state"].values()]
    assert any(not moment.is_contiguous() for moment in moments)
    for optimizer in ("critic_optimizer", "generator_optimizer"):
        for kept in saved[optimizer]["state"].values():
            kept |= {key: value.contiguous() for key, value in kept.items()}
    twin.load_state_dict(saved)
    for one in (state, twin):
        torch.manual_seed(7)
        train_step(config, one)
    assert_identical(state.state_dict()["critic"], twin.state_dict()["critic"])
