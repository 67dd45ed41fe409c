"""Packs of samples and minibatch standard deviation in the critics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.examples import examples
from helpers.models import samples
from sngan.lipschitz import lipschitz_bounds
from sngan.models import MinibatchStd, build, packed
from sngan.models.packing import packed_shape

IMAGES = pytest.mark.parametrize("name", ["cnn", "resnet", "convnext"])


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_pack_is_consecutive_samples(shape: tuple[int, ...], count: int) -> None:
    x = torch.randn(12, *shape)
    packs = packed(x, count)
    assert packs.shape == (12 // count, *packed_shape(shape, count))
    for index, pack in enumerate(packs):
        assert torch.equal(pack, torch.cat(list(x[index * count : (index + 1) * count])))
    apart = torch.cat([packed(part, count) for part in x.split([count, 12 - count])])
    assert torch.equal(packs, apart)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("mlp", (2,)), ("cnn", (1, 8, 8)), ("resnet", (3, 8, 8)), ("convnext", (3, 8, 8))],
)
@pytest.mark.parametrize("count", [2, 4])
def test_critics_of_packs(name: str, shape: tuple[int, ...], count: int) -> None:
    torch.manual_seed(0)
    generator, critic = build(name, shape, latent_dim=5, width=0.125, pack=count)
    torch.manual_seed(0)
    plain, _ = build(name, shape, latent_dim=5, width=0.125)
    assert critic.pack == count
    noise = torch.randn(2 * count, 5)
    assert torch.equal(generator(noise), plain(noise))
    x = samples(shape, 2 * count)
    scores = critic(packed(x, count))
    assert scores.shape == (2,)
    # every sample of a pack counts
    for index in range(count):
        other = x.clone()
        other[index] += 1
        changed = critic(packed(other, count)) != scores
        assert changed.tolist() == [True, False]


def reference(maps: np.ndarray, size: int) -> np.ndarray:
    """The number of each sample, from its formula in NumPy."""
    values = []
    for start in range(0, len(maps), size):
        group = maps[start : start + size]
        values += [np.sqrt(group.var(axis=0) + 1e-8).mean()] * len(group)
    return np.array(values)


@settings(max_examples=examples(60))
@given(n=st.integers(1, 13), size=st.integers(2, 6), seed=st.integers(0, 99))
def test_the_standard_deviation_against_its_formula(n: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    maps = torch.randn(n, 3, 2, 5, dtype=torch.float64)
    result = MinibatchStd(size)(maps)
    assert torch.equal(result[:, :3], maps)
    expected = torch.from_numpy(reference(maps.numpy(), size))[:, None, None].expand(n, 2, 5)
    torch.testing.assert_close(result[:, 3], expected)


def test_it_has_a_second_derivative_and_equal_samples_no_kink() -> None:
    torch.manual_seed(0)
    layer = MinibatchStd(2)
    maps = torch.randn(4, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (maps,))
    equal = torch.ones(4, 1, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(equal).sum(), equal)
    assert torch.equal(gradient, torch.ones_like(equal))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_small_number(dtype: torch.dtype) -> None:
    maps = torch.full((2, 1, 2, 2), 100.0).to(dtype)
    result = MinibatchStd(2)(maps)
    assert result.dtype == dtype
    assert result[:, 1].mean().item() == pytest.approx(1e-4, rel=0.02)


@IMAGES
def test_critics_with_a_standard_deviation(name: str) -> None:
    torch.manual_seed(0)
    _, critic = build(name, (1, 8, 8), width=0.125, minibatch_std=4)
    for parameter in critic.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    x = samples((1, 8, 8), 8)
    scores = critic(x)
    # groups of consecutive samples: real and generated samples, or two ranks, share none
    torch.testing.assert_close(torch.cat([critic(x[:4]), critic(x[4:])]), scores)
    alone = torch.cat([critic(sample[None]) for sample in x])
    assert (alone - scores).abs().min() > 1e-7
    torch.testing.assert_close(critic.eval()(x), scores)
    other = x.clone()
    other[0] = 3 * x[0]
    assert ((critic(other) - scores).abs() > 1e-7).tolist() == [True] * 4 + [False] * 4
    # another order inside a group gives the same scores
    torch.testing.assert_close(critic(x.flip(0)), scores.flip(0))


@IMAGES
def test_no_bound_of_a_critic_with_a_standard_deviation(name: str) -> None:
    _, critic = build(name, (1, 8, 8), width=0.125, minibatch_std=4)
    bounds = lipschitz_bounds(critic, (1, 8, 8), lower=False)
    assert bounds.upper == float("inf")
    assert len(bounds.reasons) == 1
    assert "MinibatchStd" in bounds.reasons[0]
    assert "it compares samples of a group" in bounds.reasons[0]


@IMAGES
def test_a_critic_of_packs_has_a_bound(name: str) -> None:
    torch.manual_seed(0)
    _, critic = build(name, (1, 8, 8), width=0.125, pack=2)
    bounds = lipschitz_bounds(critic, (2, 8, 8), slopes="product", lower=False)
    x, y = torch.randn(2, 16, 2, 8, 8)
    slope = (critic(x) - critic(y)).abs() / (x - y).flatten(1).norm(dim=1)
    assert slope.max().item() <= bounds.upper < float("inf")


# the same code turns the scores of packs into one graph, whatever the network
@pytest.mark.parametrize(
    "name",
    ["resnet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cnn", "convnext"))],
)
def test_both_compile_to_one_graph(name: str) -> None:
    _, critic = build(name, (1, 8, 8), width=0.125, pack=2, minibatch_std=3)
    x = samples((2, 8, 8), 6)
    compiled = torch.compile(critic, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), critic(x))
