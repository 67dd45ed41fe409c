"""Initial weights of the models."""

import math

import pytest
import torch

from sngan.models import build


def test_cnn_starts_normal() -> None:
    torch.manual_seed(0)
    for network in build("cnn", (3, 16, 16)):
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                few = 3 / math.sqrt(parameter.numel())
                assert parameter.std().item() == pytest.approx(0.02, rel=few), name
                assert abs(parameter.mean().item()) < 0.02 * 1.5 * few, name
            elif "norm.weight" in name:
                assert (parameter == 1).all()
            else:
                assert (parameter == 0).all()


def test_resnet_starts_glorot_uniform() -> None:
    torch.manual_seed(0)
    for network in build("resnet", (3, 16, 16), width=0.5):
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                area = parameter[0, 0].numel()
                gain = math.sqrt(2) if ".conv" in name else 1.0
                bound = gain * math.sqrt(6 / (area * sum(parameter.shape[:2])))
                assert 0.9 * bound < parameter.abs().max().item() <= bound, name
                few = 4 / math.sqrt(parameter.numel())
                assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=few), name
            elif "norm" in name and "weight" in name:
                assert (parameter == 1).all()
            else:
                assert (parameter == 0).all()


def test_mlp_keeps_its_scale_through_relu() -> None:
    torch.manual_seed(0)
    generator, critic = build("mlp", (64,))
    for name, parameter in [*generator.named_parameters(), *critic.named_parameters()]:
        assert name.endswith("weight") or (parameter == 0).all(), name
    # each layer doubles the mean square and each ReLU halves it
    points = generator(torch.randn(500, 128))
    assert points.square().mean().item() == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (2,)), ("cnn", (3, 16, 16)), ("resnet", (3, 16, 16))]
)
def test_orthogonal_kernels_have_equal_singular_values(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    networks = build(name, shape, width=0.25, num_classes=3, init="orthogonal")
    torch.manual_seed(0)
    plain = build(name, shape, width=0.25, num_classes=3)
    checked = 0
    for network, other in zip(networks, plain, strict=True):
        for layer, before in zip(network.modules(), other.modules(), strict=True):
            if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                kernel = layer.weight.detach()
                if isinstance(layer, torch.nn.ConvTranspose2d):
                    kernel = kernel.transpose(0, 1)
                values = torch.linalg.svdvals(kernel.flatten(1))
                assert values.tolist() == pytest.approx([1.0] * len(values), abs=1e-5)
                checked += 1
                if layer.bias is not None:
                    assert torch.equal(layer.bias, before.bias)
    assert checked >= 6
    with pytest.raises(ValueError, match=r"^model.init: expected one of default, orthogonal"):
        build(name, shape, init="zeros")
