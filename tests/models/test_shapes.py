"""Models at every size: shapes, channels, parameter counts, and requests that make no sense."""

import pytest
import torch
from torch import nn

from helpers.models import FAMILIES, convolutions, small
from sngan.models import MODELS, build, default_model

SIZES = [8, 16, 28, 32, 48, 64, 128]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_model_is_tested() -> None:
    assert {name for name, _ in FAMILIES} == set(MODELS)


@pytest.mark.parametrize("name", ["cnn", "resnet", "convnext"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [*SIZES, 12, 30, 40, 56, 96])
def test_images_of_every_size(name: str, channels: int, side: int) -> None:
    shape = (channels, side, side)
    generator, critic = build(name, shape, latent_dim=5, width=0.01)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, *shape)
    assert name == "convnext" or images.abs().max() <= 1
    assert critic(images).shape == (2,)
    assert generator.latent_dim == 5


@pytest.mark.parametrize("dim", [1, 2, 10])
def test_points_of_every_dimension(dim: int) -> None:
    generator, critic = build("mlp", (dim,))
    points = generator(torch.randn(1000, 128))
    assert points.shape == (1000, dim)
    assert points.abs().max() > 1
    assert critic(points).shape == (1000,)


@pytest.mark.parametrize(
    ("name", "side", "generator_count", "critic_count"),
    [
        ("resnet", 32, 4_276_739, 1_053_825 - 1),  # no bias in the last layer, as in the paper
        ("resnet", 48, 4_878_083, 19_542_720),
        ("resnet", 64, 12_220_675, 19_542_720),
        ("resnet", 128, 32_150_787, 38_419_136),
        ("cnn", 32, 3_811_907, 2_935_873),
        ("cnn", 48, 5_132_867, 2_946_113),
        # Huang et al. 2024, table 1, has 23.058M and 23.010M with noise of 64 dimensions; this is
        # noise of 128, whose 64 · 768 further weights of the first layer are the whole difference
        ("convnext", 256, 23_107_104, 23_009_568),
    ],
)
def test_parameter_counts(name: str, side: int, generator_count: int, critic_count: int) -> None:
    with torch.device("meta"):
        generator, critic = build(name, (3, side, side))
    assert count(generator) == generator_count
    assert count(critic) == critic_count


@pytest.mark.parametrize(
    ("side", "base", "ups", "downs"),
    [
        (8, (128, 4), [64], [64, 64, 128]),
        (28, (256, 7), [128, 64], [64, 64, 128, 128, 256]),
        (32, (512, 4), [256, 128, 64], [64, 64, 128, 128, 256, 256, 512]),
        (48, (512, 6), [256, 128, 64], [64, 64, 128, 128, 256, 256, 512]),
        (
            128,
            (1024, 4),
            [1024, 512, 256, 128, 64],
            [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024, 1024],
        ),
    ],
)
def test_layers_of_the_cnn(
    side: int, base: tuple[int, int], ups: list[int], downs: list[int]
) -> None:
    with torch.device("meta"):
        generator, critic = build("cnn", (3, side, side))
    assert generator.dense.out_features == base[0] * base[1] ** 2
    assert [out for _, out in convolutions(generator, side=4)] == ups
    assert convolutions(generator, side=3) == [(64, 3)]
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == downs
    kernels = [layer.kernel_size[0] for layer in layers]
    assert kernels == [3, 4] * (len(ups)) + [3]


@pytest.mark.parametrize(
    ("side", "base", "ups", "blocks"),
    [
        (8, (256, 4), [256], "128↓ 128 128"),
        (16, (256, 4), [256] * 2, "128↓ 128↓ 128 128"),
        (28, (256, 7), [256] * 2, "128↓ 128↓ 128 128"),
        (32, (256, 4), [256] * 3, "128↓ 128↓ 128 128"),
        (48, (512, 6), [256, 128, 64], "64↓ 128↓ 256↓ 512↓ 1024"),
        (64, (1024, 4), [512, 256, 128, 64], "64↓ 128↓ 256↓ 512↓ 1024↓"),
        (128, (1024, 4), [1024, 512, 256, 128, 64], "64↓ 128↓ 256↓ 512↓ 1024↓ 1024"),
    ],
)
def test_blocks_of_the_resnet(
    side: int, base: tuple[int, int], ups: list[int], blocks: str
) -> None:
    with torch.device("meta"):
        generator, critic = build("resnet", (3, side, side))
    assert generator.dense.out_features == base[0] * base[1] ** 2
    assert [block.conv2.out_channels for block in generator.stages] == ups
    said = [f"{block.conv2.out_channels}{'↓' * block.down}" for block in critic.stages]
    assert " ".join(said) == blocks
    assert critic.dense.bias is None


def test_state_dict_names() -> None:
    _, critic = small("resnet", (1, 8, 8))
    assert list(critic.state_dict())[:6] == [
        f"stages.0.{layer}.{part}"
        for layer in ("conv1", "conv2", "skip")
        for part in ("weight", "bias")
    ]
    _, critic = small("cnn", (1, 8, 8))
    assert "stages.0.conv2.weight" in critic.state_dict()


def test_width_scales_channels_and_keeps_eight() -> None:
    for width, channels in [(0.5, [32, 64]), (1.52, [97, 195]), (0.01, [8, 8])]:
        generator, critic = build("cnn", (3, 8, 8), width=width)
        assert [out for _, out in convolutions(critic, side=3)] == channels
        assert convolutions(generator, side=4) == [(channels[1], channels[0])]


def test_default_model() -> None:
    assert default_model((2,)) == "mlp"
    assert default_model((1, 8, 8)) == "cnn"
    with pytest.raises(ValueError, match=r"^sample_shape: expected \(dim,\) or .* got \(8, 8\)"):
        default_model((8, 8))


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        (
            "dcgan",
            (3, 32, 32),
            {},
            "model.name: expected one of cnn, convnext, mlp, resnet, got",
        ),
        ("cnn", (2,), {}, r"model.name: expected mlp for points \(2,\), got 'cnn'"),
        ("resnet", (2,), {}, "model.name: expected mlp for points"),
        (
            "mlp",
            (3, 8, 8),
            {},
            r"model.name: expected cnn, .*convnext for images \(3, 8, 8\), got",
        ),
        ("cnn", (2, 32, 32), {}, "data.channels: expected 1, 3 or 4, got 2"),
        ("cnn", (3, 32, 49), {}, "data.resolution: expected .* such as 32x48, for cnn, got 32×49"),
        ("cnn", (3, 31, 31), {}, "data.resolution: .* an even side of at least 8.* got 31×31"),
        ("resnet", (3, 6, 6), {}, "data.resolution: .* got 6×6"),
        ("cnn", (3, 4, 4), {}, "data.resolution: .* got 4×4"),
        ("cnn", (32, 32), {}, "sample_shape: expected"),
        ("cnn", (), {}, "sample_shape: expected"),
        ("mlp", (0,), {}, "sample_shape: expected an integer of at least 1, got 0"),
        ("mlp", (2,), {"width": 0.0}, "model.width: expected a finite number.* above 0, got 0.0"),
        ("cnn", (3, 8, 8), {"width": -1}, "model.width: expected"),
        ("cnn", (3, 8, 8), {"width": float("nan")}, "model.width: expected"),
        ("cnn", (3, 8, 8), {"latent_dim": 0}, "model.latent_dim: expected"),
        ("cnn", (3, 8, 8), {"attention": 8}, "model.attention: expected 0 for cnn.* got 8"),
        ("mlp", (2,), {"attention": 8}, "model.attention: expected 0 for mlp .* got 8"),
        ("resnet", (3, 8, 8), {"attention": 8}, "model.attention: expected 0 for resnet .* got 8"),
        (
            "resnet",
            (3, 32, 32),
            {"attention": 4},
            "model.attention: expected 0, or 16 or 8 for resnet and these samples, got 4",
        ),
        ("resnet", (3, 32, 32), {"attention": -1}, "model.attention: expected an integer"),
        ("cnn", (3, 8, 8), {"num_classes": -1}, "model.num_classes: expected an integer"),
        ("cnn", (3, 8, 8), {"critic_norm": "group"}, "method.critic_norm: expected one of"),
        ("convnext", (2,), {}, r"model.name: expected mlp for points \(2,\), got 'convnext'"),
        ("convnext", (3, 31, 31), {}, "data.resolution: .* an even side of at least 8.* got 31×31"),
        ("convnext", (3, 8, 8), {"attention": 8}, "model.attention: expected 0 for convnext.* 8"),
        ("mlp", (2,), {"minibatch_std": 4}, "model.minibatch_std: expected none for mlp, got 4"),
        ("cnn", (3, 8, 8), {"minibatch_std": 1}, "model.minibatch_std: .* at least 2, got 1"),
        ("cnn", (3, 8, 8), {"pack": 5}, "model.pack: expected an integer from 1 .* to 4, got 5"),
        ("cnn", (3, 8, 8), {"pack": 0}, "model.pack: expected an integer from 1 .* got 0"),
        ("mlp", (2,), {"pack": 2.0}, "model.pack: expected an integer from 1 .* got 2.0"),
    ],
)
def test_bad_requests(name: str, shape: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build(name, shape, **options)
