"""Closures: optimizer.step(closure)."""

import pytest
import torch
from torch import nn

from helpers.critics import make_critic, make_inputs, top_singular_value
from sngan import SpectralNorm


def test_closure_that_is_called_once_equals_a_plain_step():
    results = []
    for with_closure in (False, True):
        critic = make_critic()
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
        torch.manual_seed(1)
        SpectralNorm(critic, optimizer)
        for x in make_inputs(3):

            def closure(x=x, critic=critic, optimizer=optimizer):
                optimizer.zero_grad()
                loss = critic(x).square().sum()
                loss.backward()
                return loss

            returned = optimizer.step(closure) if with_closure else (closure(), optimizer.step())[0]
        results.append((critic.body.weight.detach(), returned.detach()))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


class TwoEvaluations(torch.optim.SGD):
    """Like sharpness-aware minimization: the loss is evaluated again in the middle of a step."""

    def step(self, closure):
        closure()
        super().step()
        return closure()


def test_closure_that_is_called_twice_is_an_error_and_keeps_the_norm():
    layer = nn.Linear(3, 3)
    optimizer = TwoEvaluations(layer.parameters(), lr=0.0)
    SpectralNorm(layer, optimizer, iterations=100)

    def closure():
        loss = layer(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="expected one evaluation"):
        optimizer.step(closure)
    assert top_singular_value(layer) == pytest.approx(1.0, rel=1e-3)
