"""Normalizations of the critic other than the spectral one."""

import pytest
import torch
from torch import Tensor, nn

from helpers.models import FAMILIES, families, samples
from sngan.models import build


def test_the_norms_follow_hidden_layers_but_the_first() -> None:
    expected = {
        "mlp": ["layers.2.1", "layers.4.1"],
        "cnn": ["stages.0.conv2.1", "stages.1.conv1.1", "stages.1.conv2.1", "last.1"],
        "resnet": [f"stages.{i}.conv{j}.1" for i in range(4) for j in (1, 2)][1:],
        "convnext": [*(f"stages.{i}.{j}.conv2.1" for i in range(3) for j in (0, 1)), "basis.1"][1:],
    }
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm
    for kind in ("batch", "layer"):
        for name, shape in FAMILIES[::2]:
            torch.manual_seed(0)
            _, critic = build(name, shape, width=0.125, critic_norm=kind)
            found = [n for n, layer in critic.named_modules() if isinstance(layer, kinds)]
            assert found == expected[name]


@families
def test_layer_norm_against_its_formula(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    _, critic = build(name, shape, width=0.125, critic_norm="layer")
    pairs: list[tuple[nn.Module, Tensor, Tensor]] = []
    for layer in critic.modules():
        if isinstance(layer, nn.GroupNorm):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            layer.register_forward_hook(lambda m, inputs, out: pairs.append((m, inputs[0], out)))
    critic(samples(shape))
    assert pairs
    for layer, before, after in pairs:
        dims = tuple(range(1, before.dim()))
        mean = before.mean(dims, keepdim=True)
        variance = before.var(dims, keepdim=True, correction=0)
        scale, shift = (p.view(-1, *[1] * (before.dim() - 2)) for p in layer.parameters())
        expected = (before - mean) / (variance + layer.eps).sqrt() * scale + shift
        torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)


@families
def test_weight_norm_starts_as_the_same_critic(name: str, shape: tuple[int, ...]) -> None:
    critics = []
    for kind in ("none", "weight"):
        torch.manual_seed(0)
        critics.append(build(name, shape, width=0.125, critic_norm=kind)[1])
    plain, normed = critics
    x = samples(shape)
    torch.testing.assert_close(normed(x), plain(x))
    layers = [m for m in normed.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) == sum(p.dim() > 1 for p in plain.parameters())
    for layer in layers:
        g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
        nn.init.uniform_(g, 1, 2)
        norms = v.flatten(1).norm(dim=1).view(g.shape)
        torch.testing.assert_close(layer.weight, g * v / norms)


@families
@pytest.mark.parametrize("kind", ["layer", "weight"])
def test_normed_critics_score_each_sample_by_itself(name: str, shape, kind: str) -> None:
    torch.manual_seed(0)
    _, critic = build(name, shape, width=0.125, critic_norm=kind)
    batch = samples(shape)
    alone = torch.cat([critic(sample[None]) for sample in batch])
    torch.testing.assert_close(critic(batch), alone)
