"""Adam with a tensor as β₂, against torch's Adam with numbers."""

import pytest
import torch
from torch import nn

from sngan.methods import Schedule
from sngan.methods.adam import TensorBetaAdam

STEPS = 12


def without_capturable(init):
    """torch refuses the option on a CPU, where nothing is captured."""
    return lambda self, parameters, *, capturable, **options: init(self, parameters, **options)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_it_is_torchs_adam_with_a_beta_that_moves(monkeypatch, kind, beta1):
    schedule, decay = Schedule(0.9, 0.99), 0.01 if kind is torch.optim.AdamW else 0.0
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(size, dtype=torch.float64)) for size in ((3, 4), (5,), ())]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    other = kind(theirs, lr=1e-2, betas=(beta1, 0.9), weight_decay=decay)
    monkeypatch.setattr(torch.optim.Adam, "__init__", without_capturable(torch.optim.Adam.__init__))
    rate = torch.tensor(1e-2, dtype=torch.float64)
    optimizer = TensorBetaAdam(ours, lr=rate, betas=(beta1, 0.9), weight_decay=decay)
    second = optimizer.param_groups[0]["betas"][1]
    optimizer.param_groups[0]["betas"] = beta1, second.double()
    for step in range(STEPS):
        beta2 = schedule.at(step, STEPS)
        optimizer.param_groups[0]["betas"][1].fill_(beta2)
        other.param_groups[0]["betas"] = beta1, beta2
        for one, two in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        optimizer.step()
        other.step()
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-14)
        kept, expected = optimizer.state[one], other.state[two]
        assert kept.keys() == expected.keys()
        for key in kept:
            torch.testing.assert_close(kept[key], expected[key], rtol=1e-12, atol=1e-14)


def test_a_weight_without_gradient_stays(monkeypatch):
    monkeypatch.setattr(torch.optim.Adam, "__init__", without_capturable(torch.optim.Adam.__init__))
    weight = nn.Parameter(torch.ones(2))
    optimizer = TensorBetaAdam([weight], lr=torch.tensor(0.1), betas=(0.0, 0.9))
    assert optimizer.step(lambda: 3.0) == 3.0
    assert weight.tolist() == [1.0, 1.0]
