"""bound="at_most" and learnable norms in use: SNGP, invertible blocks, twin critics, σReparam."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from helpers.explicit import sigma_of
from sngan import SpectralNorm


class FourierHead(nn.Module):
    """Fixed random features of a Gaussian process, and a learned layer on them."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.random = nn.Linear(inputs, features).requires_grad_(False)
        self.scores = nn.Linear(features, 2)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.scores(torch.cos(self.random(hidden)) * math.sqrt(2 / 32))


class SNGP(nn.Module):
    """Residual features that keep distances, under a Gaussian process (Liu et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(2, 16)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.head = FourierHead(16, 32)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.inputs(x)
        for block in self.blocks:
            hidden = hidden + torch.relu(block(hidden))
        return self.head(hidden)


def test_sngp_bounds_its_blocks_from_above_and_leaves_the_head() -> None:
    torch.manual_seed(0)
    model = SNGP()
    head = copy.deepcopy(model.head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    small = model.blocks[0].weight.data.mul_(0.1).clone()
    names = [f"blocks.{i}" for i in range(3)]
    SpectralNorm(model, optimizer, layers=names, coefficient=0.95, bound="at_most", strict=True)
    assert torch.equal(model.blocks[0].weight, small)
    assert torch.equal(model.head.scores.weight, head.scores.weight)
    x = torch.randn(64, 2)
    labels = (x.prod(1) > 0).long()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert max(sigma_of(block.weight).item() for block in model.blocks) < 0.95 + 1e-6
    assert losses[-1] < 0.5 * losses[0]
    assert sigma_of(model.head.scores.weight) > 1
    assert torch.equal(model.head.random.weight, head.random.weight)
    # a residual block whose branch has a norm below 1 keeps a distance between any two points
    hidden = model.inputs(x)
    output = hidden + torch.relu(model.blocks[0](hidden))
    assert (torch.cdist(output, output) + 0.01 >= 0.05 * torch.cdist(hidden, hidden)).all()


def test_residual_flows_stay_invertible() -> None:
    """``y = x + g(x)`` with a contraction g: its inverse is a fixed point (Chen et al. 2019)."""
    torch.manual_seed(0)
    blocks = nn.ModuleList(
        nn.Sequential(nn.Linear(2, 16), nn.ELU(), nn.Linear(16, 2)) for _ in range(4)
    )
    optimizer = torch.optim.Adam(blocks.parameters(), lr=0.02)
    SpectralNorm(blocks, optimizer, coefficient=0.9, bound="at_most", strict=True)
    centers = torch.tensor([[2.0, 0.0], [-2.0, 0.0]])
    losses = []
    for _ in range(40):
        x = centers.repeat(32, 1) + 0.3 * torch.randn(64, 2)
        y, log_det = x, torch.zeros(())
        for block in blocks:
            jacobian = torch.func.vmap(torch.func.jacrev(lambda p, b=block: p + b(p)))(y)
            log_det = log_det + torch.linalg.slogdet(jacobian).logabsdet
            y = y + block(y)
        optimizer.zero_grad()
        loss = (y.square().sum(1) / 2 - log_det).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    with torch.no_grad():
        y = x
        for block in blocks:
            y = y + block(y)
        for block in reversed(blocks):
            target = y
            for _ in range(200):
                y = target - block(y)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-4)


def test_twin_critics_with_averaged_targets() -> None:
    """One optimizer for both critics; targets are plain networks, whose norms stay below c."""
    torch.manual_seed(0)
    critics = nn.ModuleList(
        nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
        for _ in range(2)
    )
    optimizer = torch.optim.Adam(critics.parameters(), lr=3e-3)
    # one hidden layer of each critic (Gogianu et al. 2021)
    names = ["0.2", "1.2"]
    SpectralNorm(critics, optimizer, layers=names, coefficient=1.2, bound="at_most")
    targets = copy.deepcopy(critics).requires_grad_(False)
    for _ in range(60):
        state, reward = torch.randn(64, 3), torch.randn(64, 1)
        with torch.no_grad():
            value = torch.minimum(*[target(state) for target in targets])
            wanted = state.sum(1, keepdim=True) + 0.1 * reward + 0.5 * value
        loss = sum((critic(state) - wanted).square().mean() for critic in critics)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for own, average in zip(critics.parameters(), targets.parameters(), strict=True):
                average.lerp_(own, 0.05)
        for network in (critics, targets):
            for name in names:
                # with steps of this size, one power iteration is accurate to about 10 %
                assert sigma_of(network.get_submodule(name).weight).item() < 1.2 * 1.2


def test_a_pretrained_transformer_goes_on_with_learnable_norms() -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x = torch.randn(4, 6, 8)
    before = model(x).detach()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    sn = SpectralNorm(model, optimizer, coefficient="learnable", iterations=3)
    assert torch.equal(model(x), before)
    starts = {name: gamma.item() for name, gamma in sn.coefficients().items()}
    assert len(starts) == 6 + 3
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = (model(x) - x.roll(1, 1)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    for head, rows in enumerate(model.self_attn.in_proj_weight.split(4)):
        role = ("query", "key", "value")[head // 2]
        gamma = sn.coefficients()[f"self_attn.{role}.{head % 2}"].item()
        assert sigma_of(rows).item() == pytest.approx(gamma, rel=1e-2)
    ends = {name: gamma.item() for name, gamma in sn.coefficients().items()}
    assert all(ends[name] != start for name, start in starts.items())
