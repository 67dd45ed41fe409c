"""Mixed precision: GradScaler, autocast and TF32."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.critics import assert_identical, top_singular_value
from sngan import SpectralNorm


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_skipped_by_the_scaler_changes_nothing(fused):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2, fused=fused)
    sn = SpectralNorm(critic, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def step(x):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = critic(x).sum()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    step(torch.ones(2, 3))
    before = copy.deepcopy([critic.state_dict(), sn.state_dict()])
    step(torch.full((2, 3), float("inf")))
    assert_identical(before, [critic.state_dict(), sn.state_dict()])
    step(torch.ones(2, 3))
    assert not torch.equal(before[0]["0.weight"], critic[0].weight)
    for layer in (critic[0], critic[2]):
        assert top_singular_value(layer) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scaled_half_precision_training_follows_the_unscaled(dtype):
    """A loss scale of 1024, unscaled before or inside the step, gives the unscaled trajectory."""
    results = []
    for scale, fused in ((None, False), (1024.0, False), (1024.0, True)):
        torch.manual_seed(0)
        critic = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1, fused=fused)
        SpectralNorm(critic, optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        for _ in range(5):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=dtype):
                loss = critic(torch.randn(4, 5)).float().sum()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        results.append(critic[0].weight.detach())
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=1e-2, atol=1e-3)


def test_power_iteration_runs_outside_autocast():
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sn = SpectralNorm(layer, optimizer, iterations=100)
        layer(torch.ones(1, 64)).float().sum().backward()
        optimizer.step()
    raw = layer.weight * sn.sigmas()[""]
    assert sn.sigmas()[""].item() == pytest.approx(torch.linalg.svdvals(raw)[0].item(), rel=1e-5)


def test_power_iteration_runs_without_tf32():
    """By default cuDNN's convolutions use TF32, which has a mantissa of only ten bits."""
    convolutions = torch.backends.cudnn.conv
    seen = []

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if "convolution" in str(function):
                seen.append(convolutions.fp32_precision)
            return function(*args, **(kwargs or {}))

    layer = nn.Conv2d(2, 3, 3, padding=1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    usual = convolutions.fp32_precision
    SpectralNorm(layer, optimizer, kind="operator", input_shape=(2, 8, 8))
    layer(torch.ones(1, 2, 8, 8)).sum().backward()
    with Watching():
        optimizer.step()
    # Wᵀu and the derivative before the step, Wv and Wᵀu after it
    assert seen == ["ieee"] * 4
    assert convolutions.fp32_precision == usual != "ieee"
