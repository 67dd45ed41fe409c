"""Self-attention of the residual networks."""

import pytest
import torch
from torch import Tensor, nn

from helpers.models import samples
from sngan.models import build
from sngan.models.attention import SelfAttention


def test_attention_against_its_formula() -> None:
    torch.manual_seed(0)
    block = SelfAttention(16).double()
    x = torch.randn(2, 16, 3, 4, dtype=torch.float64)
    assert torch.equal(block(x), x)
    nn.init.constant_(block.gamma, 0.7)
    expected = x.clone()
    flat = x.flatten(2)

    def one_by_one(layer: nn.Conv2d, column: Tensor) -> Tensor:
        return layer.weight[:, :, 0, 0] @ column + layer.bias

    for n in range(2):
        for i in range(12):
            query = one_by_one(block.query, flat[n, :, i])
            logits = [one_by_one(block.key, flat[n, :, j]) @ query for j in range(12)]
            shares = torch.stack(logits).softmax(0)
            values = [one_by_one(block.value, flat[n, :, j]) for j in range(12)]
            seen = sum(share * value for share, value in zip(shares, values, strict=True))
            expected[n, :, i // 4, i % 4] += 0.7 * one_by_one(block.output, seen)
    torch.testing.assert_close(block(x), expected)
    assert block.key.out_channels == 2


def test_attention_has_a_second_derivative() -> None:
    torch.manual_seed(0)
    block = SelfAttention(8).double()
    nn.init.ones_(block.gamma)
    x = torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(block, (x,))


@pytest.mark.parametrize(("side", "attention"), [(16, 8), (32, 8), (32, 16), (64, 32)])
def test_attention_at_its_side_in_both_networks(side: int, attention: int) -> None:
    networks = build("resnet", (3, side, side), latent_dim=5, width=0.01, attention=attention)
    plain = build("resnet", (3, side, side), latent_dim=5, width=0.01)
    inputs = torch.randn(2, 5), samples((3, side, side), 2)
    for network, without, x in zip(networks, plain, inputs, strict=True):
        seen: list[Tensor] = []
        blocks = [m for m in network.modules() if isinstance(m, SelfAttention)]
        assert len(blocks) == 1
        blocks[0].register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        network(x)
        assert seen[0].shape[2:] == (attention, attention)
        extra = set(network.state_dict()) - set(without.state_dict())
        assert extra
        assert all(".attention." in name for name in extra)
        # with γ = 0 the network equals the one without attention
        without.load_state_dict({k: v for k, v in network.state_dict().items() if k not in extra})
        assert torch.equal(without.eval()(x), network.eval()(x))


def test_spectral_norm_finds_the_attention() -> None:
    from sngan import SpectralNorm

    _, critic = build("resnet", (3, 16, 16), width=0.125, attention=8)
    for options in ({}, {"kind": "operator", "input_shape": (3, 16, 16)}):
        norm = SpectralNorm(critic, torch.optim.Adam(critic.parameters()), **options)
        names = [name for name in norm.sigmas() if ".attention." in name]
        assert names == [
            f"stages.0.attention.{part}" for part in ("key", "query", "value", "output")
        ]
        norm.remove()
