"""Augmentations of every image against manual computations, and their use in both steps."""

import pytest
import torch
from torch import Tensor

from sngan import METHODS, Config, augment, data
from sngan.augment import AUGMENTATIONS, color, cutout, translation
from sngan.config import DataConfig, ModelConfig
from sngan.engine import TrainState, critic_step, generator_step
from sngan.engine.resolve import resolve_config
from sngan.engine.steps import draw_noise

SHAPES = [(4, 3, 8, 8), (3, 1, 8, 8), (2, 3, 6, 10), (2, 1, 7, 7)]


def images(shape: tuple[int, ...]) -> Tensor:
    torch.manual_seed(1)
    return torch.rand(shape, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shapes_seed_and_inputs_left_alone(name: str, shape: tuple[int, ...]) -> None:
    batch = images(shape)
    before = batch.clone()
    torch.manual_seed(5)
    first = AUGMENTATIONS[name](batch)
    torch.manual_seed(5)
    assert torch.equal(AUGMENTATIONS[name](batch), first)
    assert not torch.equal(AUGMENTATIONS[name](batch), first)
    assert torch.equal(batch, before)
    assert first.shape == batch.shape
    assert first.dtype == batch.dtype
    assert not torch.equal(first, batch)
    single = AUGMENTATIONS[name](batch.float().contiguous(memory_format=torch.channels_last))
    assert single.dtype == torch.float32


@pytest.mark.parametrize("shape", SHAPES)
def test_translation_is_a_shift_with_zeros(shape: tuple[int, ...]) -> None:
    batch = images(shape)
    most = [int(size / 8 + 0.5) for size in shape[2:]]
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        moved = translation(batch)
        torch.manual_seed(seed)
        shifts = [torch.randint(-m, m + 1, (shape[0], 1, 1, 1)).flatten().tolist() for m in most]
        for image, found, down, right in zip(batch, moved, *shifts, strict=True):
            expected = torch.zeros_like(image)
            height, width = shape[2:]
            for y in range(height):
                for x in range(width):
                    if 0 <= y - down < height and 0 <= x - right < width:
                        expected[:, y, x] = image[:, y - down, x - right]
            assert torch.equal(found, expected)
            seen.add((down, right))
    assert {down for down, _ in seen} == set(range(-most[0], most[0] + 1))
    assert {right for _, right in seen} == set(range(-most[1], most[1] + 1))


def test_cutout_is_one_square_of_half_the_side() -> None:
    batch = torch.ones(500, 2, 8, 8)
    torch.manual_seed(0)
    cut = cutout(batch)
    assert torch.equal(cut[:, 0], cut[:, 1])
    hole = cut[:, 0] == 0
    rows, columns = hole.any(2), hole.any(1)
    assert torch.equal(hole, rows[:, :, None] & columns[:, None, :])
    for covered in (rows, columns):
        sizes = covered.sum(1)
        # 4 rows, or down to 2 if the square passes the edge
        assert set(sizes.tolist()) == {2, 3, 4}
        for line in covered:
            places = line.nonzero().flatten()
            assert places[-1] - places[0] + 1 == len(places)
    assert set(cut.unique().tolist()) == {0.0, 1.0}


def test_color_against_its_formula() -> None:
    batch = images((6, 3, 5, 5))
    torch.manual_seed(3)
    found = color(batch)
    torch.manual_seed(3)
    bright, saturated, contrast = (torch.rand(6, 1, 1, 1, dtype=torch.float64) for _ in range(3))
    x = batch + bright - 0.5
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * saturated) + grey
    mean = x.flatten(1).mean(1).view(6, 1, 1, 1)
    torch.testing.assert_close(found, (x - mean) * (contrast + 0.5) + mean)


def test_color_of_grey_images_is_brightness_and_contrast() -> None:
    batch = images((200, 1, 5, 5))
    torch.manual_seed(3)
    found = color(batch)
    shift = (found - batch).mean((1, 2, 3))
    assert -0.5 <= shift.min() < -0.45
    assert 0.45 < shift.max() <= 0.5
    scale = found.std((1, 2, 3)) / batch.std((1, 2, 3))
    assert 0.5 <= scale.min() < 0.55
    assert 1.45 < scale.max() <= 1.5


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass(name: str) -> None:
    batch = images((2, 3, 4, 4)).requires_grad_()

    def seeded(x: Tensor) -> Tensor:
        torch.manual_seed(2)
        return AUGMENTATIONS[name](x)

    assert torch.autograd.gradcheck(seeded, (batch,))


def test_names_in_order_and_no_augmentation() -> None:
    batch, state = images((2, 1, 4, 4)), torch.get_rng_state()
    assert augment.augment(batch, ()) is batch
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    both = augment.augment(batch, ("color", "cutout"))
    torch.manual_seed(4)
    assert torch.equal(both, cutout(color(batch)))


@pytest.mark.parametrize("bad", [torch.zeros(3, 2), torch.zeros(2, 1, 4, 4).byte()])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_bad_images(name: str, bad: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^images: expected floating-point images \(N, C, H, W\)"):
        AUGMENTATIONS[name](bad)


# In training


def built(policy: str, method: str = "sn", source: str = "digits") -> tuple[Config, TrainState]:
    config = Config(
        data=DataConfig(source=source, augment=policy),
        method=method,
        model=ModelConfig(width=0.25, latent_dim=8),
        batch_size=8,
    )
    dataset = data.open_source(source)
    config = resolve_config(config, dataset)
    return config, TrainState.build(config, dataset)


def test_points_are_not_augmented() -> None:
    with pytest.raises(ValueError, match=r"^data.augment: expected none for points \(2,\), got 'c"):
        built("color", source="ring8")


@pytest.mark.parametrize("method", ["sn", "bn", "r3gan"])
def test_both_steps_show_the_critic_augmented_images(monkeypatch, method: str) -> None:
    """A marking augmentation: all real and fake images that the critic sees carry the mark."""
    monkeypatch.setitem(
        AUGMENTATIONS, "cutout", lambda x: torch.cat([x[..., :-1] * 0.5, x[..., -1:] * 0 + 7], 3)
    )
    config, state = built("cutout", method)
    seen: list[Tensor] = []
    critic = state.critic.module
    forward = critic.forward

    def watched(samples: Tensor, labels: Tensor | None = None) -> Tensor:
        seen.append(samples.detach())
        return forward(samples, labels)

    monkeypatch.setattr(critic, "forward", watched)
    critic_step(config, state, state.sampler.take())
    # a gradient penalty scores its own batches, of augmented images too
    assert sum(len(batch) for batch in seen) == (32 if method == "r3gan" else 16)
    generator_step(config, state, state.sampler.take())
    assert sum(map(len, seen)) == {"r3gan": 48, "sn": 24, "bn": 24}[method]
    assert all((batch[..., -1] == 7).all() for batch in seen)
    assert all(p.grad is not None for p in state.generator.parameters())
    assert any(p.grad.abs().max() > 0 for p in state.generator.parameters())


def test_gradients_reach_the_generator_and_off_changes_nothing() -> None:
    losses = {}
    for policy in ("", "color,translation,cutout"):
        config, state = built(policy)
        terms = critic_step(config, state, state.sampler.take())
        terms |= generator_step(config, state, state.sampler.take())
        assert terms["generator_gradient_norm"].item() > 0
        losses[policy] = terms["critic_loss"].item()
        # The same step by hand, without augmentation.
        if policy == "":
            config, plain = built("")
            real = plain.sampler.next().samples
            with torch.no_grad():
                fake = plain.generator(draw_noise(plain, 8))
            real_scores, fake_scores = plain.critic(torch.cat([real, fake])).chunk(2)
            by_hand = (1 - real_scores).relu().mean() + (1 + fake_scores).relu().mean()
            assert by_hand.item() == losses[""]
    assert losses[""] != losses["color,translation,cutout"]


def test_every_method_with_augmentation() -> None:
    for method in METHODS:
        config, state = built("color,translation,cutout", method)
        terms = critic_step(config, state, state.sampler.take())
        terms |= generator_step(config, state, state.sampler.take())
        assert all(torch.isfinite(term) for term in terms.values()), method
