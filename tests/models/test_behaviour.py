"""Gradients, batches, copies and compilation of the models."""

import copy

import pytest
import torch

from helpers.models import FAMILIES, families, samples, small
from sngan import models
from sngan.models import build


@families
def test_every_critic_parameter_gets_a_gradient(name: str, shape: tuple[int, ...]) -> None:
    _, critic = small(name, shape)
    for parameter in critic.parameters():
        if not parameter.any():
            # a layer that starts at 0 passes no gradient on
            torch.nn.init.normal_(parameter)
    critic(samples(shape)).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in critic.parameters())


@families
def test_generator_learns_through_the_critic(name: str, shape: tuple[int, ...]) -> None:
    generator, critic = small(name, shape)
    critic(generator(torch.randn(3, 7))).sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())
    assert next(generator.parameters()).grad.any()


@families
def test_critic_scores_each_sample_by_itself(name: str, shape: tuple[int, ...]) -> None:
    _, critic = small(name, shape)
    batch = samples(shape)
    alone = torch.cat([critic(sample[None]) for sample in batch])
    torch.testing.assert_close(critic(batch), alone)
    assert not any("norm" in name for name, _ in critic.named_modules())


@families
def test_copies_and_state_dicts_compute_the_same(name: str, shape: tuple[int, ...]) -> None:
    other = build(name, shape, latent_dim=7, width=0.125)
    for network, fresh in zip(small(name, shape), other, strict=True):
        x = torch.randn(3, 7) if isinstance(network, models.Generator) else samples(shape)
        assert not torch.equal(fresh(x), network(x))
        fresh.load_state_dict(network.state_dict())
        assert torch.equal(fresh(x), network(x))
        assert torch.equal(copy.deepcopy(network)(x), network(x))


@pytest.mark.parametrize(("name", "shape"), dict(FAMILIES).items())
def test_compiles_to_one_graph(name: str, shape: tuple[int, ...]) -> None:
    for network in small(name, shape):
        x = torch.randn(3, 7) if isinstance(network, models.Generator) else samples(shape)
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), network(x))


@families
def test_the_seed_decides_the_weights(name: str, shape: tuple[int, ...]) -> None:
    first, second = small(name, shape), small(name, shape)
    for one, other in zip(first, second, strict=True):
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert all(torch.equal(left, right) for left, right in pairs)
