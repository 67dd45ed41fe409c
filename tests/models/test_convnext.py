"""Networks of R3GAN against functional calls, and how they start."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate
from torch import Tensor, nn

from helpers.models import samples
from helpers.networks import jacobian_norm
from sngan import SpectralNorm
from sngan.lipschitz import lipschitz_bounds
from sngan.models import ConvNextCritic, ConvNextGenerator, ConvNextStage, build

SHAPE = (3, 16, 16)


def small(**options) -> tuple[ConvNextGenerator, ConvNextCritic]:
    """Networks whose blocks do something."""
    torch.manual_seed(0)
    networks = build("convnext", SHAPE, latent_dim=7, width=0.125, **options)
    for network in networks:
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.2)
        network.double()
    return networks


def block(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    h = F.conv2d(x, w[f"{name}.conv1.weight"], w[f"{name}.conv1.bias"])
    h = torch.where(h > 0, h, 0.2 * h)
    groups = h.shape[1] // 16
    h = F.conv2d(h, w[f"{name}.conv2.weight"], w[f"{name}.conv2.bias"], padding=1, groups=groups)
    return x + F.conv2d(torch.where(h > 0, h, 0.2 * h), w[f"{name}.conv3.weight"])


def enlarged(x: Tensor) -> Tensor:
    """Bilinear upsampling, with zeros around the maps."""
    return F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]


def reduced(x: Tensor) -> Tensor:
    """A blur by [1, 2, 1]/4 of each axis at half-steps, by SciPy: [1, 3, 3, 1]/8, each second."""
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    blurred = correlate(x.numpy(), kernel[None, None], mode="constant", origin=(0, 0, -1, -1))
    return torch.from_numpy(blurred[..., ::2, ::2].copy())


def test_the_generator_against_functional_calls() -> None:
    generator, _ = small()
    w, noise = generator.state_dict(), torch.randn(3, 7, dtype=torch.float64)
    x = w["stages.0.0.maps"] * (noise @ w["stages.0.0.factors.weight"].T)[:, :, None, None]
    x = block(block(x, w, "stages.0.1"), w, "stages.0.2")
    for i in (1, 2):
        x = block(block(enlarged(x), w, f"stages.{i}.1"), w, f"stages.{i}.2")
    torch.testing.assert_close(generator(noise), F.conv2d(x, w["output.weight"]))


def test_the_critic_against_functional_calls() -> None:
    _, critic = small()
    w, images = critic.state_dict(), samples(SHAPE, dtype=torch.float64)
    x = F.conv2d(images, w["input.weight"])
    for i in (0, 1):
        x = reduced(block(block(x, w, f"stages.{i}.0"), w, f"stages.{i}.1"))
    x = block(block(x, w, "stages.2.0"), w, "stages.2.1")
    places = (x * w["basis.weight"].transpose(0, 1)).sum((2, 3))
    torch.testing.assert_close(critic(images), places @ w["dense.weight"][0])


def test_a_change_of_channels_is_a_1x1_convolution() -> None:
    stages = [ConvNextStage(16, blocks=1), ConvNextStage(8, blocks=0)]
    generator = ConvNextGenerator(latent_dim=5, base_side=6, stages=stages, image_channels=1)
    critic = ConvNextCritic(image_channels=1, base_side=6, stages=stages[::-1])
    assert generator(torch.randn(2, 5)).shape == (2, 1, 12, 12)
    assert critic(torch.randn(2, 1, 12, 12)).shape == (2,)
    seen = [tuple(m.weight.shape) for m in critic.stages[0].modules() if isinstance(m, nn.Conv2d)]
    assert seen == [(16, 8, 1, 1)]
    maps, half = torch.randn(2, 8, 12, 12), critic.stages[0]
    expected = F.conv2d(reduced(maps), critic.stages[0][0].conv.weight)
    torch.testing.assert_close(half(maps), expected)


@pytest.mark.parametrize("seed", range(4))
def test_resampling_is_bilinear_inside_and_its_own_transpose(seed: int) -> None:
    torch.manual_seed(seed)
    generator, critic = small()
    up, down = generator.stages[1][0], critic.stages[0][-1]
    x, y = torch.randn(1, 24, 4, 4).double(), torch.randn(1, 24, 8, 8).double()
    inside = F.interpolate(x, scale_factor=2, mode="bilinear")[..., 1:-1, 1:-1]
    torch.testing.assert_close(up(x)[..., 1:-1, 1:-1], inside)
    antialiased = F.interpolate(y, scale_factor=0.5, mode="bilinear", antialias=True)
    torch.testing.assert_close(down(y)[..., 1:-1, 1:-1], antialiased[..., 1:-1, 1:-1])
    # ⟨up x, y⟩ = 4⟨x, down y⟩
    assert (up(x) * y).sum().item() == pytest.approx(4 * (x * down(y)).sum().item(), rel=1e-9)


def test_the_start_of_the_weights() -> None:
    torch.manual_seed(0)
    for network in build("convnext", SHAPE, latent_dim=64, width=0.5):
        for name, parameter in network.named_parameters():
            if name.endswith(("conv3.weight", "bias")):
                assert (parameter == 0).all(), name
                continue
            # 3 stages of 2 blocks, L = 6: L^(-1/4), and √(2/(1 + 0.2²)) for leaky ReLU
            gain = math.sqrt(2 / 1.04) * 6**-0.25 if ".conv" in name else 1.0
            std = 1.0 if name.endswith("maps") else gain / math.sqrt(parameter[0].numel())
            few = 4 / math.sqrt(parameter.numel())
            assert parameter.std().item() == pytest.approx(std, rel=few), name


def test_blocks_start_as_the_identity() -> None:
    _, critic = build("convnext", SHAPE, width=0.125)
    maps = torch.randn(2, 24, 16, 16)
    assert torch.equal(critic.stages[0][0](maps), maps)


@pytest.mark.parametrize(
    ("side", "channels"),
    [
        (8, [48] * 2),
        (16, [192] * 3),
        (28, [592] * 3),
        (32, [768] * 4),
        (48, [768] * 4),
        (64, [768] * 4 + [384]),
        (256, [768] * 4 + [384, 192, 96]),
    ],
)
def test_stages_by_resolution(side: int, channels: list[int]) -> None:
    with torch.device("meta"):
        generator, critic = build("convnext", (3, side, side))
    for stages, expected in ((generator.stages, channels), (critic.stages, channels[::-1])):
        blocks = [[m for m in stage if hasattr(m, "conv3")] for stage in stages]
        assert [len(some) for some in blocks] == [2] * len(channels)
        assert [some[0].conv3.out_channels for some in blocks] == expected
        groups = [some[0].conv2.groups for some in blocks]
        assert groups == [2 * count // 16 for count in expected]


@pytest.mark.parametrize("width", [0.01, 0.3, 0.77, 1.3])
def test_every_width_has_whole_groups(width: int) -> None:
    generator, critic = build("convnext", (1, 8, 8), latent_dim=5, width=width)
    channels = generator.output.in_channels
    assert channels == max(8, 8 * round(48 * width / 8))
    assert critic(generator(torch.randn(2, 5))).shape == (2,)


def test_labels_join_the_noise_and_choose_the_score() -> None:
    generator, critic = small(num_classes=4)
    noise, labels = torch.randn(4, 7).double(), torch.tensor([3, 0, 2, 0])
    plain, _ = small()
    assert generator.stages[0][0].factors.in_features == 14
    first = generator.stages[0][0].factors.weight
    expected = noise @ first[:, :7].T + generator.embedding.weight[labels] @ first[:, 7:].T
    seen: list[Tensor] = []
    generator.stages[0][0].factors.register_forward_hook(lambda *a: seen.append(a[2]))
    images = generator(noise, labels)
    torch.testing.assert_close(seen[0], expected)
    features: list[Tensor] = []
    critic.dense.register_forward_hook(lambda *a: features.append(a[2]))
    scores = critic(images, labels)
    assert critic.dense.out_features == 24
    torch.testing.assert_close(scores, (features[0] * critic.embedding.weight[labels]).sum(1))
    torch.testing.assert_close(critic(images), critic(images, torch.zeros(4, dtype=torch.int64)))
    with pytest.raises(ValueError, match=r"^labels: expected none for this generator"):
        plain(noise, labels)


def test_the_vectors_of_classes_start_small() -> None:
    torch.manual_seed(0)
    generator, critic = build("convnext", (1, 8, 8), latent_dim=64, num_classes=50)
    assert generator.embedding.weight.std().item() == pytest.approx(50**-0.5, rel=0.05)
    assert critic.embedding.weight.std().item() == pytest.approx((48 * 50) ** -0.5, rel=0.05)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_lipschitz_bound_of_the_critic_holds(classes: int) -> None:
    torch.manual_seed(0)
    _, critic = build("convnext", (1, 8, 8), width=0.17, num_classes=classes)
    # blocks start as the identity, so the critic is linear
    bounds = lipschitz_bounds(critic, (1, 8, 8), slopes="product", lower=False)
    slope = jacobian_norm(critic, torch.randn(1, 8, 8).double())
    assert slope <= bounds.upper < 8 * slope
    for parameter in critic.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    bounds = lipschitz_bounds(critic, (1, 8, 8), slopes="product", lower=False)
    slopes = [jacobian_norm(critic, torch.randn(1, 8, 8).double() * s) for s in (0.1, 1, 10)]
    assert max(slopes) <= bounds.upper < 1000 * max(slopes)
    assert not bounds.reasons


@pytest.mark.parametrize("kind", ["matrix", "operator"])
def test_spectral_norm_moves_layers_that_start_at_zero(kind: str) -> None:
    torch.manual_seed(0)
    _, critic = build("convnext", (1, 8, 8), width=0.17)
    optimizer = torch.optim.Adam(critic.parameters())
    norm = SpectralNorm(
        critic, optimizer, kind=kind, input_shape=(1, 8, 8) if kind == "operator" else None
    )
    for _ in range(3):
        optimizer.zero_grad()
        critic(torch.randn(4, 1, 8, 8)).square().mean().backward()
        optimizer.step()
    weight = critic.stages[0][0].conv3.weight.detach()
    sigma = torch.linalg.matrix_norm(weight.flatten(1), 2).item()
    assert sigma == pytest.approx(1.0, rel=0.05)
    assert all(value > 0 for value in norm.sigmas().values())


def test_weight_norm_moves_layers_that_start_at_zero() -> None:
    torch.manual_seed(0)
    _, critic = build("convnext", (1, 8, 8), width=0.17, critic_norm="weight")
    last = critic.stages[0][0].conv3
    assert (last.weight == 0).all()
    critic(samples((1, 8, 8))).sum().backward()
    gradient = last.parametrizations.weight.original0.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0
