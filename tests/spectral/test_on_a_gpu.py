"""SpectralNorm on an NVIDIA GPU, against the same steps on the CPU."""

import copy

import pytest
import torch
from torch import nn

import sngan

STEPS = 3


def trained(network: nn.Module, device: str, **options) -> dict[str, torch.Tensor]:
    """Norms and weights after a few steps of SGD on fixed images, in float64."""
    network = copy.deepcopy(network).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    norm = sngan.SpectralNorm(network, optimizer, iterations=100, **options)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    for _ in range(STEPS):
        optimizer.zero_grad()
        network(images.to(device)).square().mean().backward()
        optimizer.step()
    values = {**norm.sigmas(), **network.state_dict()}
    return {name: value.detach().cpu() for name, value in values.items()}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(
    "options", [{}, {"kind": "operator", "input_shape": (3, 8, 8)}], ids=["matrix", "operator"]
)
def test_steps_on_a_gpu_are_those_on_the_cpu(options):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 1)]
    network = nn.Sequential(*layers).double()
    expected, found = (trained(network, device, **options) for device in ("cpu", "cuda"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)
