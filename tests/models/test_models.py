"""Models: shapes, parameter counts, initialization, and an independent computation of each."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan import models
from sngan.models import MODELS, CriticStage, ResNetCritic, build, default_model
from sngan.models.attention import SelfAttention
from sngan.models.resnet import pooled_conv, upsampled_conv

FAMILIES = [
    ("mlp", (2,)),
    ("cnn", (1, 8, 8)),
    ("cnn", (3, 16, 16)),
    ("resnet", (1, 8, 8)),
    ("resnet", (3, 16, 16)),
]
families = pytest.mark.parametrize(("name", "shape"), FAMILIES)
SIZES = [8, 16, 28, 32, 48, 64, 128]


def small(name: str, shape: tuple[int, ...]) -> tuple[models.Generator, models.Critic]:
    torch.manual_seed(0)
    return build(name, shape, latent_dim=7, width=0.125)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def samples(shape: tuple[int, ...], n: int = 3, **options: object) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(n, *shape, **options)


def test_every_model_is_tested() -> None:
    assert {name for name, _ in FAMILIES} == set(MODELS)


# Shapes and sizes


@pytest.mark.parametrize("name", ["cnn", "resnet"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [*SIZES, 12, 30, 40, 56, 96])
def test_images_of_every_size(name: str, channels: int, side: int) -> None:
    shape = (channels, side, side)
    generator, critic = build(name, shape, latent_dim=5, width=0.01)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
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
    ],
)
def test_parameter_counts(name: str, side: int, generator_count: int, critic_count: int) -> None:
    with torch.device("meta"):
        generator, critic = build(name, (3, side, side))
    assert count(generator) == generator_count
    assert count(critic) == critic_count


def convolutions(module: nn.Module, *, side: int) -> list[tuple[int, int]]:
    """Input and output channels of the convolutions with square kernels of this side."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in module.modules() if isinstance(layer, kinds)]
    return [(c.in_channels, c.out_channels) for c in layers if c.kernel_size == (side, side)]


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


# What they compute, against functional calls on their state


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


# Normalizations of the critic


def test_the_norms_follow_hidden_layers_but_the_first() -> None:
    expected = {
        "mlp": ["layers.2.1", "layers.4.1"],
        "cnn": ["stages.0.conv2.1", "stages.1.conv1.1", "stages.1.conv2.1", "last.1"],
        "resnet": [f"stages.{i}.conv{j}.1" for i in range(4) for j in (1, 2)][1:],
    }
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm
    for kind in ("batch", "layer"):
        for name, shape in FAMILIES[::2][:2] + FAMILIES[-1:]:
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


# Self-attention


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
        # γ = 0: the network without it
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


# Initialization


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


# How they behave


@families
def test_every_critic_parameter_gets_a_gradient(name: str, shape: tuple[int, ...]) -> None:
    _, critic = small(name, shape)
    critic(samples(shape)).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in critic.parameters())


@families
def test_generator_learns_through_the_critic(name: str, shape: tuple[int, ...]) -> None:
    generator, critic = small(name, shape)
    critic(generator(torch.randn(3, 7))).sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())
    assert next(generator.parameters()).grad.any()


@families
def test_critic_scores_each_sample_by_itself(name: str, shape: tuple[int, ...]) -> None:
    _, critic = small(name, shape)
    batch = samples(shape)
    alone = torch.cat([critic(sample[None]) for sample in batch])
    torch.testing.assert_close(critic(batch), alone)
    assert not any("norm" in name for name, _ in critic.named_modules())


@families
def test_copies_and_state_dicts_compute_the_same(name: str, shape: tuple[int, ...]) -> None:
    other = build(name, shape, latent_dim=7, width=0.125)
    for network, fresh in zip(small(name, shape), other, strict=True):
        x = torch.randn(3, 7) if isinstance(network, models.Generator) else samples(shape)
        assert not torch.equal(fresh(x), network(x))
        fresh.load_state_dict(network.state_dict())
        assert torch.equal(fresh(x), network(x))
        assert torch.equal(copy.deepcopy(network)(x), network(x))


@pytest.mark.parametrize(("name", "shape"), dict(FAMILIES).items())
def test_compiles_to_one_graph(name: str, shape: tuple[int, ...]) -> None:
    for network in small(name, shape):
        x = torch.randn(3, 7) if isinstance(network, models.Generator) else samples(shape)
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), network(x))


@families
def test_the_seed_decides_the_weights(name: str, shape: tuple[int, ...]) -> None:
    first, second = small(name, shape), small(name, shape)
    for one, other in zip(first, second, strict=True):
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert all(torch.equal(left, right) for left, right in pairs)


# Requests that make no sense


def test_default_model() -> None:
    assert default_model((2,)) == "mlp"
    assert default_model((1, 8, 8)) == "cnn"
    with pytest.raises(ValueError, match=r"^sample_shape: expected \(dim,\) or .* got \(8, 8\)"):
        default_model((8, 8))


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("dcgan", (3, 32, 32), {}, "model.name: expected one of cnn, mlp, resnet, got 'dcgan'"),
        ("cnn", (2,), {}, r"model.name: expected mlp for points \(2,\), got 'cnn'"),
        ("resnet", (2,), {}, "model.name: expected mlp for points"),
        ("mlp", (3, 8, 8), {}, r"model.name: expected cnn or resnet for images \(3, 8, 8\), got"),
        ("cnn", (2, 32, 32), {}, "data.channels: expected 1 or 3, got 2"),
        ("cnn", (3, 32, 48), {}, "data.resolution: expected square images .* got 32×48"),
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
    ],
)
def test_bad_requests(name: str, shape: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build(name, shape, **options)


def test_a_convolution_beside_a_change_of_resolution_is_one_convolution():
    layer = nn.Conv2d(3, 5, 3, padding=1).double()
    maps = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    enlarged = F.interpolate(maps, scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(upsampled_conv(layer, maps), layer(enlarged))
    torch.testing.assert_close(pooled_conv(layer, maps), F.avg_pool2d(layer(maps), 2))


@pytest.mark.parametrize("critic_norm", ["none", "layer", "weight"])
def test_a_resnet_critic_in_training_computes_what_it_does_in_eval_mode(critic_norm):
    _, critic = build("resnet", (3, 16, 16), width=0.25, critic_norm=critic_norm)
    critic = critic.double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    in_training = critic(images)
    torch.testing.assert_close(critic.eval()(images), in_training)
