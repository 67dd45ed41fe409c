"""Packs and groups of samples in training: penalties, losses, bounds, refusals, resuming."""

import json
import re
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.training import TINY, build, metrics, tiny
from sngan import Config, data
from sngan import config as configs
from sngan.cli import main
from sngan.config import ModelConfig, PerformanceConfig
from sngan.data import Batch
from sngan.engine import TrainState, critic_step, generator_step
from sngan.engine import train as training
from sngan.engine.evaluation import measure_transport
from sngan.engine.steps import draw_noise, generate, score
from sngan.models import Critic

PACKED = replace(TINY, pack=2)


def built(method: str, **settings) -> tuple[Config, TrainState]:
    """A state whose layers that start at 0 do something."""
    fields = {"data": "ring8", "batch_size": 8, "model": PACKED, **settings}
    config = Config(method=method, **fields)
    state = build(config)
    for network in (state.generator, state.critic):
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return config, state


class Drawn(NamedTuple):
    """A batch with its packs of real and generated samples, and random states around the fakes."""

    batch: Batch
    real: Tensor
    fake: Tensor
    before: Tensor
    after: Tensor


def drawn(state: TrainState) -> Drawn:
    """The packs that the next critic step sees."""
    batch, before = state.sampler.take(), torch.get_rng_state()
    real, _ = state.sampler.prepared(batch)
    with torch.no_grad():
        fake = generate(state, draw_noise(state, len(real)), None)
    packs = [torch.cat([x[::2], x[1::2]], dim=1) for x in (real, fake)]
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    return Drawn(batch, *packs, before, after)


def gradients(critic: Critic, packs: Tensor) -> Tensor:
    """The gradient at each pack, one pack at a time, in the coordinates of the networks."""
    scale = 1.0 if critic.coordinates is None else critic.coordinates.scale
    rows = []
    for pack in packs:
        point = pack[None].clone().requires_grad_()
        rows.append((scale * torch.autograd.grad(critic(point).sum(), point)[0]).flatten())
    return torch.stack(rows)


@pytest.mark.parametrize("source", ["ring8", "digits"])
def test_the_penalty_and_the_loss_are_those_of_packs(source: str) -> None:
    config, state = built("r3gan", data=source)
    own, critic = drawn(state), state.critic.module
    slopes = [gradients(critic, packs).square().sum(1) for packs in (own.real, own.fake)]
    real, fake = (critic(packs).detach() for packs in (own.real, own.fake))
    assert real.shape == (4,)
    terms = critic_step(config, state, own.batch)
    expected = sum(part.mean().item() for part in slopes) / 2
    assert terms["penalty"].item() == pytest.approx(expected, rel=1e-4)
    # the relativistic loss pairs one pack of real samples with one pack of generated ones
    expected = F.softplus(fake - real).mean().item()
    assert terms["critic_loss"].item() == pytest.approx(expected, rel=1e-4)
    terms = generator_step(config, state, state.sampler.take())
    assert terms["generator_loss"].isfinite()


def test_the_penalty_draws_one_point_between_two_packs() -> None:
    config, state = built("wgan-gp")
    own = drawn(state)
    torch.set_rng_state(own.after)
    share = torch.rand(4, 1)
    points = share * own.real + (1 - share) * own.fake
    slopes = gradients(state.critic.module, points).norm(dim=1)
    torch.set_rng_state(own.before)
    terms = critic_step(config, state, own.batch)
    assert terms["penalty"].item() == pytest.approx((slopes - 1).square().mean().item(), rel=1e-4)


def test_a_group_holds_no_real_and_generated_samples() -> None:
    model = replace(TINY, minibatch_std=4)
    config, state = built("vanilla", data="digits", model=model)
    own = drawn(state)
    unpacked = [packs.unflatten(1, (2, 1)).flatten(0, 1) for packs in (own.real, own.fake)]
    real, fake = (score(state, samples, None).detach() for samples in unpacked)
    terms = critic_step(config, state, own.batch)
    expected = (F.softplus(-real) + F.softplus(fake)).mean().item()
    assert terms["critic_loss"].item() == pytest.approx(expected, rel=1e-5)


def test_the_penalty_of_a_group_is_that_of_its_summed_scores() -> None:
    """As in the papers that use both: the gradient of the batch's summed scores."""
    config, state = built("r1", data="digits", model=replace(TINY, minibatch_std=4))
    own, critic = drawn(state), state.critic.module
    real = own.real.unflatten(1, (2, 1)).flatten(0, 1)
    samples = real.clone().requires_grad_()
    (whole,) = torch.autograd.grad(critic(samples).sum(), samples)
    groups = torch.cat([gradients_of_group(critic, group) for group in real.split(4)])
    torch.testing.assert_close(whole, groups)
    terms = critic_step(config, state, own.batch)
    expected = whole.flatten(1).square().sum(1).mean().item() / 2
    assert terms["penalty"].item() == pytest.approx(expected, rel=1e-4)


def gradients_of_group(critic: nn.Module, group: Tensor) -> Tensor:
    point = group.clone().requires_grad_()
    return torch.autograd.grad(critic(point).sum(), point)[0]


def test_packs_and_groups_are_whole_in_each_part_of_a_batch(caplog) -> None:
    model = replace(TINY, pack=2, minibatch_std=2)
    results = []
    for parts in (1, 2):
        performance = PerformanceConfig(accumulate=parts)
        config, state = built("r3gan", data="digits", model=model, performance=performance)
        state.critic.zero_grad()
        own = drawn(state)
        critic_step(config, state, own.batch)
        results.append([p.grad.clone() for p in state.critic.parameters()])
    for whole, summed in zip(*results, strict=True):
        torch.testing.assert_close(summed, whole, rtol=1e-3, atol=1e-5)
    assert "minibatch_std" not in caplog.text
    with pytest.raises(ValueError, match=r"^model.pack: .* the 1 sample that a device"):
        Config(model=PACKED, batch_size=4, performance=PerformanceConfig(accumulate=4))


@pytest.mark.parametrize("pack", [1, 2, 4])
def test_a_critic_of_packs_bounds_no_w1(pack: int) -> None:
    _, state = built("sn", model=replace(TINY, pack=pack))
    found = measure_transport(state, data.open_source("ring8"), classes=(), seed=0)
    assert ("w1_bound" in found) == (pack == 1)
    assert found["w1"] > 0
    critic = state.critic.module
    x, y = torch.randn(2, 500, 2 * pack)
    slope = (critic(x) - critic(y)).abs() / (x - y).norm(dim=1)
    assert slope.max().item() <= found["lipschitz"] < float("inf")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["pack=3"], "model.pack: expected a number that divides the 64 samples that a device"),
        (["pack=4", "batch_size=6"], "model.pack: expected a number that divides the 6 samples"),
        (["pack=5"], "model.pack: expected an integer from 1"),
        (["pack=0"], "model.pack: expected an integer from 1"),
        (["pack=2", "conditional=true"], "model.pack: expected 1 for a conditional model"),
        (["minibatch_std=5"], "model.minibatch_std: expected a number that divides the 64"),
        (["minibatch_std=4", "pack=2", "batch_size=12"], "model.minibatch_std: .*the 6 samples or"),
        (["minibatch_std=1"], "model.minibatch_std: expected an integer of at least 2, got 1"),
        (["minibatch_std=4", "data=ring8"], "model.minibatch_std: expected none for mlp, got 4"),
        (["pack=2", "batch_size=6", "devices=2"], "model.pack: .* the 3 samples that a device"),
        (["model=convnext", "data=ring8"], "model.name: expected mlp for points"),
        (["model=convnext", "resolution=9"], "data.resolution: expected an even side of at"),
    ],
)
def test_groups_that_do_not_fit(tmp_path, capsys, flags, message) -> None:
    out = tmp_path / "run"
    assert main(["train", "--out", str(out), "--set", *flags]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert re.match(f"sngan: error: {message}", error.replace("--", ""))
    assert not out.exists()


def test_settings_of_groups_are_saved_and_read_back(tmp_path) -> None:
    model = replace(TINY, pack=2, minibatch_std=4)
    for settings, off in ((model, False), (TINY, True)):
        configs.save(Config(model=settings), tmp_path / "config.yaml")
        assert configs.load(tmp_path / "config.yaml").model == settings
        text = (tmp_path / "config.yaml").read_text()
        assert ("minibatch_std: 0" in text) == off
    older = configs.to_dict(Config(model=TINY))
    del older["model"]["pack"], older["model"]["minibatch_std"]
    assert configs.from_dict(older).model == TINY
    for off in (None, 0, "none"):
        assert ModelConfig(minibatch_std=off).minibatch_std is None


def test_off_has_its_words_on_the_command_line(tmp_path) -> None:
    for word in ("none", "0"):
        flags = ["width=0.1", "batch_size=8", "n_critic=1", f"minibatch_std={word}"]
        out = str(tmp_path / word)
        assert main(["train", "--out", out, "--steps", "1", "--set", *flags]) == 0
        assert configs.load(tmp_path / word / "config.yaml").model.minibatch_std is None


@pytest.mark.parametrize("source", [pytest.param("digits", marks=pytest.mark.slow), "ring8"])
def test_a_run_of_packs_is_used_like_any_other(tmp_path, capsys, source) -> None:
    run = training.train(tiny(tmp_path / "run", data=source, model=PACKED, steps=5))
    assert run.generate(3).shape[1:] == ((1, 8, 8) if source == "digits" else (2,))
    assert all("w1_bound" not in record for record in metrics(run.folder))
    if source == "ring8":
        assert main(["evaluate", str(run.folder), "--samples", "300", "--halves", "0"]) == 0
    capsys.readouterr()
    options = [] if source == "ring8" else ["--upper-only"]
    assert main(["lipschitz", str(run.folder), "--json", "-", *options]) == 0
    bounds = json.loads(capsys.readouterr().out)
    assert bounds["lower"] <= bounds["upper"] < float("inf")
    assert "function of 2 samples at once" in " ".join(bounds["notes"])
    assert main(["generate", str(run.folder), "--n", "4", "--out", str(tmp_path / "x.png")]) == 0


def test_r3gan_takes_its_own_networks_for_images(tmp_path) -> None:
    new = training.train(tiny(tmp_path / "new", method="r3gan", steps=5))
    assert new.config.model.name == "convnext"
    # the half-life of the average grows to a fortieth of the 5 batches of 8 images
    assert (new.config.ema_decay, str(new.config.ema_halflife)) == (None, "cosine 0.0->1.0")
    longer = training.train(tiny(tmp_path / "new", method="r3gan", steps=7), resume=True)
    assert str(longer.config.ema_halflife) == "cosine 0.0->1.0"
    own = training.train(tiny(tmp_path / "own", method="r3gan", steps=2, ema_decay=0.5))
    assert (own.config.ema_decay, own.config.ema_halflife) == (0.5, None)
    points = training.train(tiny(tmp_path / "points", method="r3gan", data="ring8", steps=5))
    assert points.config.model.name == "mlp"
    # the last layer is linear, so images are clamped where they are drawn
    nn.init.constant_(new.generator.output.weight, 9.0)
    assert new.generate(8).abs().max() == 1


@pytest.mark.bitwise
def test_an_r3gan_run_on_a_cnn_goes_on_with_its_networks(tmp_path) -> None:
    """Earlier versions chose the cnn for ``model auto``."""
    earlier = tiny(tmp_path / "run", method="r3gan", model=replace(TINY, name="cnn"), steps=10)
    training.train(earlier)
    run = training.train(replace(earlier, model=TINY, steps=12), resume=True)
    assert run.config.model.name == "cnn"
    assert main(["train", "--out", str(tmp_path / "run"), "--resume", "--steps", "14"]) == 0
    assert metrics(run.folder)[-1]["step"] == 14
