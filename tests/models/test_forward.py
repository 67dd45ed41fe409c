"""Forward passes of the models against functional calls on their parameters."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.models import samples, small
from sngan.models import CriticStage, ResNetCritic, build
from sngan.models.fused import PooledConv2d, UpsampledConv2d


def norm(maps: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    mean = maps.mean(dim=(0, 2, 3), keepdim=True)
    variance = maps.var(dim=(0, 2, 3), keepdim=True, correction=0)
    scale, shift = (w[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return (maps - mean) / (variance + 1e-5).sqrt() * scale + shift


def conv(maps: Tensor, w: dict[str, Tensor], name: str, stride: int = 1) -> Tensor:
    weight = w[f"{name}.weight"]
    padding = 1 if weight.shape[-1] > 1 else 0
    return F.conv2d(maps, weight, w[f"{name}.bias"], stride=stride, padding=padding)


def doubled(maps: Tensor) -> Tensor:
    return maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def resnet_critic(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    h = conv(x, w, "stages.0.conv1").relu()
    h = F.avg_pool2d(conv(h, w, "stages.0.conv2"), 2)
    x = h + conv(F.avg_pool2d(x, 2), w, "stages.0.skip")
    h = conv(conv(x.relu(), w, "stages.1.conv1").relu(), w, "stages.1.conv2")
    x = F.avg_pool2d(h + conv(x, w, "stages.1.skip"), 2)
    for i in (2, 3):
        x = x + conv(conv(x.relu(), w, f"stages.{i}.conv1").relu(), w, f"stages.{i}.conv2")
    return (x.relu().sum(dim=(2, 3)) @ w["dense.weight"].T)[:, 0]


def resnet_generator(z: Tensor, w: dict[str, Tensor]) -> Tensor:
    x = (z @ w["dense.weight"].T + w["dense.bias"]).view(len(z), -1, 4, 4)
    for i in range(2):
        h = conv(doubled(norm(x, w, f"stages.{i}.norm1").relu()), w, f"stages.{i}.conv1")
        h = conv(norm(h, w, f"stages.{i}.norm2").relu(), w, f"stages.{i}.conv2")
        x = h + conv(doubled(x), w, f"stages.{i}.skip")
    return conv(norm(x, w, "norm").relu(), w, "output").tanh()


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def cnn_critic(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    for i in range(2):
        x = leaky(conv(x, w, f"stages.{i}.conv1"))
        x = leaky(conv(x, w, f"stages.{i}.conv2", stride=2))
    x = leaky(conv(x, w, "last"))
    return x.flatten(1) @ w["dense.weight"][0] + w["dense.bias"]


def cnn_generator(z: Tensor, w: dict[str, Tensor]) -> Tensor:
    x = (z @ w["dense.weight"].T + w["dense.bias"]).view(len(z), -1, 4, 4)
    for i in range(2):
        x = F.conv_transpose2d(x, w[f"stages.{i}.conv.weight"], stride=2, padding=1)
        x = norm(x, w, f"stages.{i}.norm").relu()
    return conv(x, w, "output").tanh()


def mlp_critic(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    for i in (0, 2, 4):
        x = leaky(x @ w[f"layers.{i}.weight"].T + w[f"layers.{i}.bias"])
    return x @ w["layers.6.weight"][0] + w["layers.6.bias"]


def mlp_generator(z: Tensor, w: dict[str, Tensor]) -> Tensor:
    for i in (0, 2, 4):
        z = (z @ w[f"layers.{i}.weight"].T + w[f"layers.{i}.bias"]).relu()
    return z @ w["layers.6.weight"].T + w["layers.6.bias"]


@pytest.mark.parametrize(
    ("name", "shape", "generate", "score"),
    [
        ("mlp", (2,), mlp_generator, mlp_critic),
        ("cnn", (3, 16, 16), cnn_generator, cnn_critic),
        ("resnet", (3, 16, 16), resnet_generator, resnet_critic),
    ],
)
def test_forward_against_functional_calls(name: str, shape, generate, score) -> None:
    networks = [network.double() for network in small(name, shape)]
    for network in networks:  # biases and scales that matter
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
    inputs = samples((7,), dtype=torch.float64), samples(shape, dtype=torch.float64)
    for network, reference, x in zip(networks, (generate, score), inputs, strict=True):
        expected = reference(x, network.state_dict())
        torch.testing.assert_close(network(x), expected, rtol=1e-10, atol=1e-10)


def test_first_skip_pools_then_convolves() -> None:
    _, critic = small("resnet", (3, 16, 16))
    seen: list[Tensor] = []
    critic.stages[0].skip.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = samples((3, 16, 16))
    critic(images)
    assert torch.equal(seen[0], F.avg_pool2d(images, 2))


def test_stages_are_data() -> None:
    stages = [CriticStage(8, down=False), CriticStage(8, down=False), CriticStage(12, down=True)]
    critic = ResNetCritic(image_channels=3, stages=stages)
    assert isinstance(critic.stages[1].skip, nn.Identity)
    assert [critic.stages[i].skip.kernel_size for i in (0, 2)] == [(1, 1), (1, 1)]
    assert critic(samples((3, 10, 10))).shape == (3,)


@pytest.mark.parametrize("critic_norm", ["none", "layer", "weight"])
def test_a_resnet_critic_in_training_computes_what_it_does_in_eval_mode(critic_norm):
    _, critic = build("resnet", (3, 16, 16), width=0.25, critic_norm=critic_norm)
    critic = critic.double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    in_training = critic(images)
    torch.testing.assert_close(critic.eval()(images), in_training)


@pytest.mark.parametrize("sides", [(6, 8), (5, 7), (2, 2)])
def test_a_fused_layer_equals_its_two_operations(sides):
    maps = torch.randn(2, 3, *sides, dtype=torch.float64)
    pooled, upsampled = PooledConv2d(3, 5).double(), UpsampledConv2d(3, 5).double()
    convolved = F.conv2d(maps, pooled.weight, pooled.bias, padding=1)
    torch.testing.assert_close(pooled(maps), F.avg_pool2d(convolved, 2))
    enlarged = F.interpolate(maps, scale_factor=2.0, mode="nearest")
    expected = F.conv2d(enlarged, upsampled.weight, upsampled.bias, padding=1)
    torch.testing.assert_close(upsampled(maps), expected)


def test_the_parts_of_a_fused_layer_share_its_parameters():
    layer = PooledConv2d(3, 5)
    state = torch.get_rng_state()
    plain, pooling = layer.unfused()
    assert torch.equal(torch.get_rng_state(), state)
    assert type(plain) is nn.Conv2d
    assert plain.weight is layer.weight
    assert plain.bias is layer.bias
    maps = torch.randn(2, 3, 6, 8)
    torch.testing.assert_close(pooling(plain(maps)), layer(maps))


def test_fused_layers_have_the_state_of_plain_convolutions():
    generator, critic = small("resnet", (3, 16, 16))
    for network, kind in ((generator, UpsampledConv2d), (critic, PooledConv2d)):
        layers = [layer for layer in network.modules() if isinstance(layer, kind)]
        assert layers
        for layer in layers:
            nn.Conv2d(layer.in_channels, layer.out_channels, 3).load_state_dict(layer.state_dict())
