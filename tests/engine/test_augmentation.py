"""Augmentation in training: p adapts, is scheduled, recorded, saved, and never read by the host."""

from dataclasses import replace

import pytest
import torch

from helpers.training import TINY, NoWaiting, assert_identical, build, metrics, tiny
from sngan import METHODS, Config
from sngan.config import DataConfig
from sngan.engine import TrainState, critic_step, generator_step, train_step
from sngan.engine import train as training
from sngan.engine.augmentation import Augmentation, images_to_full
from sngan.losses import LOSSES
from sngan.runs import checkpoint

# 8 images a batch, so p changes by 0.08 in each 4 batches
ADA = DataConfig(source="digits", augment="ada", augment_images=400)
DEVICE = torch.device("cpu")


def config_of(augment: str, **settings) -> Config:
    return Config(data=DataConfig(augment=augment, augment_images=400), batch_size=8, **settings)


def followed(augmentation: Augmentation, real: list[float], fake: list[float]) -> dict[str, float]:
    terms = augmentation.signs(torch.tensor(real), torch.tensor(fake))
    terms |= augmentation.follow(terms.get("augment_sign"))
    return {name: term.item() for name, term in terms.items()}


def test_p_changes_once_in_four_batches_by_their_mean():
    augmentation = Augmentation(config_of("ada"), device=DEVICE)
    # the means of the signs are 1, 1, 0 and 0.5: together 0.625, over 0.6
    batches = [[1.0, 2.0], [0.1, 0.1], [-1.0, 1.0], [2.0, 0.0]]
    found = [followed(augmentation, batch, [0.0]) for batch in batches]
    assert [one["augment_sign"] for one in found] == [1, 1, 0, 0.5]
    assert [one["augment_p"] for one in found] == pytest.approx([0, 0, 0, 0.08])
    # 0.5 is under the target, and the sums began again
    found = [followed(augmentation, [1.0, 0.0], [0.0]) for _ in range(4)]
    assert [one["augment_p"] for one in found] == pytest.approx([0.08, 0.08, 0.08, 0.0])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_sign_is_taken_at_the_threshold_of_the_loss(loss):
    """Where no single score separates the two, it is the middle of both means."""
    method = replace(METHODS["sn"], loss=loss)
    augmentation = Augmentation(config_of("ada", method=method), device=DEVICE)
    real, fake = [0.3, 0.3, 0.3, 0.9], [-0.05, -0.05]
    threshold = LOSSES[loss].threshold
    # the means are 0.45 and -0.05, and their middle 0.2 is below all real scores
    expected = {None: 1.0, 0.0: 1.0, 0.5: -0.5}[threshold]
    assert followed(augmentation, real, fake)["augment_sign"] == expected
    lower = followed(augmentation, [x - 7 for x in real], [x - 7 for x in fake])["augment_sign"]
    assert lower == (1.0 if threshold is None else -1.0)


@pytest.mark.parametrize("loss", [name for name in LOSSES if LOSSES[name].threshold is not None])
def test_the_threshold_is_where_the_best_critic_is_undecided(loss):
    """For equal densities of real and generated samples, it minimizes the critic's loss."""
    scores = torch.linspace(-3, 3, 6001).double()
    values = [LOSSES[loss].critic(score[None], score[None]).item() for score in scores]
    best = scores[torch.tensor(values) <= min(values) + 1e-9]
    threshold = LOSSES[loss].threshold
    assert best.min().item() <= threshold + 1e-3
    assert best.max().item() >= threshold - 1e-3
    assert (best.min() + best.max()).item() / 2 == pytest.approx(threshold, abs=1e-3)


def test_the_speed_of_p_follows_from_the_length_of_the_run():
    method = replace(METHODS["sn"], n_critic=5)
    short = Config(steps=1000, batch_size=64, method=method)
    assert images_to_full(short) == 1000 * 5 * 64 / 5
    assert images_to_full(replace(short, steps=10**6)) == 500_000
    assert images_to_full(replace(short, data=DataConfig(augment_images=1234))) == 1234


def test_a_schedule_of_p_is_recorded(tmp_path):
    augmented = DataConfig(source="digits", augment="p=0->0.5")
    training.train(tiny(tmp_path / "run", data=augmented, steps=10, log_every=1))
    found = [record["augment_p"] for record in metrics(tmp_path / "run")]
    assert found == pytest.approx([0.05 * step for step in range(10)])
    assert "augment_sign" not in metrics(tmp_path / "run")[0]


def test_a_fixed_p_is_that_number():
    config = config_of("p=0.3", model=TINY)
    state = build(config)
    assert train_step(config, state)["augment_p"].item() == pytest.approx(0.3)
    images = torch.rand(500, 1, 8, 8)
    same = (state.augmentation(images) == images).all(3).all(2).all(1).double().mean().item()
    # 10 transformations of grey images, of which some show nothing
    assert 0.7**10 < same < 0.12


def test_runs_without_adaptive_p_save_what_they_saved(tmp_path):
    plain = build(tiny(tmp_path)).state_dict()
    fixed = build(tiny(tmp_path, data=DataConfig(augment="p=0.3"))).state_dict()
    adaptive = build(tiny(tmp_path, data=ADA)).state_dict()
    assert plain.keys() == fixed.keys() == adaptive.keys() - {"augmentation"}
    assert len(adaptive) == len(plain) + 1


def test_a_resumed_run_is_equal_bit_for_bit(tmp_path):
    config = tiny(tmp_path, data=ADA, method=replace(METHODS["sn"], n_critic=3))
    whole = build(config)
    for _ in range(7):
        train_step(config, whole)
    path = tmp_path / "state.pt"
    checkpoint.write(whole.state_dict(), path)
    # it stops between two changes of p
    assert whole.augmentation.state_dict()["batches"].item() == 21 % 4
    assert whole.augmentation.state_dict()["p"].item() > 0
    torch.manual_seed(99)
    resumed = build(config)
    resumed.load_state_dict(checkpoint.read(path))
    results = []
    for state in (resumed, whole):
        if results:
            state.load_state_dict(checkpoint.read(path))
        terms = [train_step(config, state) for _ in range(6)]
        saved = state.state_dict()
        saved.pop("seconds")
        results.append((terms, saved))
    assert_identical(*results)


def test_a_run_of_two_parts_is_that_of_one(tmp_path):
    """Through the run folder; p is in the records."""
    settings = {"data": ADA, "log_every": 1, "save_every": 5}
    training.train(tiny(tmp_path / "whole", steps=12, **settings))
    training.train(tiny(tmp_path / "parts", steps=7, **settings))
    training.train(tiny(tmp_path / "parts", steps=12, **settings), resume=True)
    whole, parts = (metrics(tmp_path / name) for name in ("whole", "parts"))
    for key in ("augment_p", "augment_sign", "critic_loss"):
        assert [one[key] for one in whole] == [one[key] for one in parts]
    assert whole[-1]["augment_p"] > 0


@pytest.mark.parametrize("method", ["sn", "wgan-gp", "r3gan", "bn"])
@pytest.mark.parametrize("augment", ["ada", "p=0->0.5"])
def test_no_step_waits_for_the_device(tmp_path, method, augment):
    config = tiny(tmp_path, method=method, data=replace(ADA, augment=augment))
    state = build(config)
    train_step(config, state)
    optimizers = (state.critic_optimizer, state.generator_optimizer)
    counters = [kept["step"] for o in optimizers for kept in o.state.values() if "step" in kept]
    with NoWaiting(counters):
        terms = critic_step(config, state, state.sampler.take())
        terms |= generator_step(config, state, state.sampler.take())
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["generator_gradient_norm"] > 0


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("colour", r"expected one of ada, color, cutout, p=NUMBER, .* \(did you mean color"),
        ("color,", "expected one of"),
        ("color;cutout", "expected one of"),
        ("ADA", "expected one of"),
        ("ada,cutout", r"expected ada or p=NUMBER alone, got 'ada,cutout'"),
        ("color,p=0.3", r"expected ada or p=NUMBER alone, got 'color,p=0.3'"),
        ("p=", "expected a number, A->B"),
        ("p=1.5", "expected a finite number of at least 0 and of at most 1, got 1.5"),
        ("p=0->2", "expected a finite number of at least 0 and of at most 1, got 2.0"),
        ("p=x->y", "expected a number, A->B"),
    ],
)
def test_bad_policies(augment, message):
    with pytest.raises(ValueError, match=rf"^data\.augment: {message}"):
        DataConfig(augment=augment)


@pytest.mark.parametrize("key", ["augment_target", "augment_images"])
@pytest.mark.parametrize("value", [0, -1, "x", 1.5, float("nan")])
def test_bad_numbers(key, value):
    with pytest.raises(ValueError, match=rf"^data\.{key}: expected"):
        DataConfig(augment="ada", **{key: value})


@pytest.mark.parametrize("augment", ["ada", "p=0.3", "color"])
def test_points_are_not_augmented(augment):
    with pytest.raises(ValueError, match=r"^data\.augment: expected none for points \(2,\), got"):
        build(Config(data=DataConfig(source="ring8", augment=augment)))


def test_other_spellings_of_off():
    for off in (None, "none", ""):
        assert DataConfig(augment=off).augment is None
    assert isinstance(build(Config(data=DataConfig(augment="none"), model=TINY)), TrainState)
