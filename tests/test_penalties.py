"""Penalties against closed forms and finite differences; weight clipping."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from sngan.penalties import (
    PENALTIES,
    clip_weights_,
    dragan,
    orthonormal,
    r1,
    r1_r2,
    wgan_gp,
    wgan_lp,
)

SHAPES = pytest.mark.parametrize("shape", [(5, 2), (4, 3, 8, 8)], ids=["points", "images"])


def batches(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)


def small_critic() -> nn.Module:
    torch.manual_seed(4)
    layers = nn.Linear(3, 5), nn.Softplus(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)
    return nn.Sequential(*layers).double()


def replay(real: Tensor, fake: Tensor, seed: int) -> Tensor:
    """The interpolated points of the penalty, drawn again."""
    torch.manual_seed(seed)
    share = torch.rand(len(real), dtype=real.dtype)
    return torch.stack([e * x + (1 - e) * y for e, x, y in zip(share, real, fake, strict=True)])


@SHAPES
@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_linear_critic(shape: tuple[int, ...], norm: float, target: float) -> None:
    real, fake = batches(shape)
    weight = torch.randn(shape[1:], dtype=torch.float64)
    weight *= norm / weight.norm()
    penalty = wgan_gp(lambda x: (x * weight).flatten(1).sum(1), real, fake, target=target)
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx((norm - target) ** 2, rel=1e-12, abs=1e-24)


def test_quadratic_critic_takes_the_norm_of_each_sample() -> None:
    real, fake = batches((6, 4))
    matrix = torch.randn(4, 4, dtype=torch.float64)
    torch.manual_seed(11)
    penalty = wgan_gp(lambda x: ((x @ matrix) * x).sum(1) / 2, real, fake)
    gradients = replay(real, fake, 11) @ (matrix + matrix.T) / 2
    norms = gradients.square().sum(1).sqrt()
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean().item(), rel=1e-12)
    over_the_batch = (gradients.norm() - 1) ** 2
    assert abs(penalty.item() - over_the_batch.item()) > 1


@SHAPES
def test_one_coefficient_per_sample(shape: tuple[int, ...]) -> None:
    real, fake = batches(shape)
    seen: list[Tensor] = []
    torch.manual_seed(12)
    wgan_gp(lambda x: seen.append(x.detach()) or x.square().flatten(1).sum(1), real, fake)
    torch.testing.assert_close(seen[0], replay(real, fake, 12))
    shares = ((seen[0] - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert len(shares[:, 0].unique()) == len(real)


@SHAPES
@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_linear_critic_of_the_other_penalties(shape: tuple[int, ...], norm: float) -> None:
    """At every point, the gradient is the weight."""
    real, fake = batches(shape)
    weight = torch.randn(shape[1:], dtype=torch.float64)
    weight *= norm / weight.norm()
    expected = {
        wgan_lp: max(0.0, norm - 1) ** 2,
        dragan: (norm - 1) ** 2,
        r1: norm**2 / 2,
        r1_r2: norm**2,
    }
    for penalty, value in expected.items():
        found = penalty(lambda x: (x * weight).flatten(1).sum(1), real, fake)
        assert found.shape == ()
        assert found.item() == pytest.approx(value, rel=1e-12, abs=1e-24)


def test_one_sided_penalty_of_a_critic_that_is_flat_here_and_steep_there() -> None:
    real, fake = batches((6, 4))
    torch.manual_seed(11)
    penalty = wgan_lp(lambda x: x.square().sum(1) / 2, real, fake)
    norms = replay(real, fake, 11).norm(dim=1)
    assert norms.min() < 1 < norms.max()
    assert penalty.item() == pytest.approx(((norms - 1).relu() ** 2).mean().item(), rel=1e-12)
    assert penalty.item() < ((norms - 1) ** 2).mean().item()


def test_r1_is_at_real_samples_and_r2_at_fake_ones() -> None:
    real, fake = batches((6, 4))

    def critic(x: Tensor) -> Tensor:
        return x.square().sum(1) / 2

    at_real, at_fake = (batch.square().sum(1).mean().item() / 2 for batch in (real, fake))
    assert abs(at_real - at_fake) > 0.01
    assert r1(critic, real, fake).item() == pytest.approx(at_real, rel=1e-12)
    assert r1_r2(critic, real, fake).item() == pytest.approx(at_real + at_fake, rel=1e-12)


def test_dragan_looks_around_the_real_samples() -> None:
    real, fake = batches((5, 3))
    seen: list[Tensor] = []
    torch.manual_seed(13)
    penalty = dragan(lambda x: seen.append(x.detach()) or x.square().sum(1) / 2, real, fake)
    torch.manual_seed(13)
    around = real + torch.randn_like(real) * real.std(correction=0) / 2
    torch.testing.assert_close(seen[0], around)
    expected = ((around.norm(dim=1) - 1) ** 2).mean().item()
    assert penalty.item() == pytest.approx(expected, rel=1e-12)
    wide = torch.randn(2000, 10, dtype=torch.float64) * 3
    dragan(lambda x: seen.append(x.detach()) or x.sum(1), wide, wide)
    assert (seen[1] - wide).std().item() == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_of_the_weights_is_that_of_finite_differences(name: str) -> None:
    real, fake = batches((4, 3))
    critic = small_critic()
    names = [name for name, _ in critic.named_parameters()]

    def penalty(*values: Tensor) -> Tensor:
        torch.manual_seed(5)
        weights = dict(zip(names, values, strict=True))
        return PENALTIES[name](lambda x: functional_call(critic, weights, x), real, fake)

    assert torch.autograd.gradcheck(penalty, tuple(critic.parameters()))


@pytest.mark.parametrize(
    "critic",
    [nn.Linear(3, 1), nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))],
    ids=["zero weights", "dead units"],
)
def test_gradient_zero_is_no_nan(critic: nn.Module) -> None:
    for parameter in critic.parameters():
        nn.init.constant_(parameter, 0.0 if parameter.dim() > 1 else -1.0)
    real, fake = torch.randn(4, 3), torch.randn(4, 3)
    penalty = wgan_gp(critic, real, fake)
    penalty.backward()
    assert penalty.item() == 1
    gradients = [p.grad for p in critic.parameters() if p.grad is not None]
    assert gradients
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("tracked", [False, True])
def test_leaves_no_gradient_behind(tracked: bool) -> None:
    real, fake = (batch.requires_grad_(tracked) for batch in batches((4, 3)))
    critic = small_critic()
    penalty = wgan_gp(critic, real, fake)
    assert all(parameter.grad is None for parameter in critic.parameters())
    penalty.backward()
    assert real.grad is None
    assert fake.grad is None
    assert real.requires_grad is tracked
    assert critic[0].weight.grad.abs().max() > 0


def test_scores_of_both_shapes_and_the_seed() -> None:
    real, fake = batches((4, 3))
    critic = small_critic()

    def seeded(of: Callable[[Tensor], Tensor], seed: int) -> Tensor:
        torch.manual_seed(seed)
        return wgan_gp(of, real, fake)

    assert torch.equal(seeded(critic, 1), seeded(lambda x: critic(x).squeeze(1), 1))
    assert not torch.equal(seeded(critic, 1), seeded(critic, 2))


def test_mixed_precision_of_real_and_fake() -> None:
    real, fake = torch.randn(4, 3), torch.randn(4, 3).bfloat16()
    critic = small_critic().float()
    torch.manual_seed(6)
    mixed = wgan_gp(critic, real, fake)
    torch.manual_seed(6)
    assert torch.equal(mixed, wgan_gp(critic, real, fake.float()))


@pytest.mark.parametrize("name", PENALTIES)
def test_registered_penalties_are_nonnegative_scalars(name: str) -> None:
    penalty = PENALTIES[name](small_critic(), *batches((4, 3)))
    assert penalty.shape == ()
    assert penalty.item() >= 0
    assert penalty.requires_grad


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(4, 2), r"fake: expected the shape of real, \(4, 3\)"),
        (torch.zeros(4, 3), torch.zeros(5, 3), r"fake: .* got \(5, 3\)"),
        (torch.zeros(4, 3).byte(), torch.zeros(4, 3), r"real: expected a floating.*uint8"),
        (torch.zeros(4, 3), torch.zeros(4, 3).int(), r"fake: expected a floating.*int32"),
        (torch.zeros(4), torch.zeros(4), r"real: expected a floating-point batch \(N, ...\)"),
    ],
)
def test_bad_batches(real: Tensor, fake: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        wgan_gp(lambda x: x.sum(1), real, fake)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_checks_the_real_batch(name: str) -> None:
    bad = torch.zeros(4, 3).byte()
    with pytest.raises(ValueError, match=r"^real: expected a floating.*uint8"):
        PENALTIES[name](lambda x: x.sum(1), bad, torch.zeros(4, 3))


# Orthonormal regularization


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4), (6, 2, 3, 3)])
def test_orthonormal_value_and_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(1, 1, bias=False) if len(shape) == 2 else nn.Conv2d(1, 1, 1, bias=False)
    layer.weight = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    distance = orthonormal(nn.Sequential(layer, nn.ReLU()))
    distance.backward()
    matrix = layer.weight.detach().flatten(1)
    rows, columns = matrix.shape
    gram = matrix.T @ matrix - torch.eye(columns, dtype=torch.float64)
    constant = max(0, columns - rows)
    assert distance.item() == pytest.approx(gram.square().sum().item() - constant, rel=1e-12)
    singular = torch.linalg.svdvals(matrix)
    assert distance.item() == pytest.approx(((singular**2 - 1) ** 2).sum().item(), rel=1e-12)
    # the gradient of the norm of WᵀW − I, which is the same for both products
    torch.testing.assert_close(layer.weight.grad.flatten(1), 4 * matrix @ gram)


def test_orthonormal_layers_cost_nothing_and_layers_add_up() -> None:
    torch.manual_seed(0)
    linear, conv = nn.Linear(5, 3).double(), nn.Conv2d(2, 4, 3).double()
    for layer in (linear, conv):
        nn.init.orthogonal_(layer.weight)
    assert orthonormal(nn.Sequential(linear, conv)).item() == pytest.approx(0, abs=1e-20)
    with torch.no_grad():
        linear.weight *= 2
        conv.weight *= 3
    # (s² − 1)² for each singular value s
    assert orthonormal(nn.Sequential(linear, conv)).item() == pytest.approx(3 * 9 + 4 * 64)


def test_orthonormal_reads_computed_weights_and_spares_normalization() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    gram = layer.weight.T @ layer.weight - torch.eye(4)
    expected = gram.square().sum()
    torch.testing.assert_close(orthonormal(nn.Sequential(layer, nn.LayerNorm(4))), expected)
    with pytest.raises(ValueError, match="layers: expected a selection with at least one Linear"):
        orthonormal(nn.LayerNorm(4))


def test_bad_target() -> None:
    with pytest.raises(ValueError, match=r"^target: expected a finite number.* at least 0, got -1"):
        wgan_gp(lambda x: x.sum(1), *batches((4, 3)), target=-1)


NORMALIZATIONS = [
    nn.BatchNorm1d(4),
    nn.BatchNorm2d(4),
    nn.BatchNorm3d(4),
    nn.SyncBatchNorm(4),
    nn.InstanceNorm1d(4, affine=True),
    nn.InstanceNorm2d(4, affine=True),
    nn.InstanceNorm3d(4, affine=True),
    nn.GroupNorm(2, 4),
    nn.LayerNorm(4),
    nn.RMSNorm(4),
]


@pytest.mark.parametrize("norm", NORMALIZATIONS, ids=lambda norm: type(norm).__name__)
def test_clipping_spares_normalization(norm: nn.Module) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(4, 4, 3), norm)
    module = nn.Sequential(inner, nn.Linear(4, 4), nn.Embedding(3, 4))
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    clip_weights_(module, 0.25)
    spared = 0
    for name, value in module.state_dict().items():
        if name.startswith("0.1."):
            assert torch.equal(value, before[name])
            spared += 1
        else:
            assert torch.equal(value, before[name].clamp(-0.25, 0.25))
            assert value.abs().max() == 0.25
    assert spared == len(norm.state_dict())


def test_clipping_keeps_the_parameters_and_their_gradients() -> None:
    linear = nn.Linear(2, 2)
    weight = linear.weight
    linear(torch.ones(1, 2)).sum().backward()
    clip_weights_(linear, 0.01)
    assert linear.weight is weight
    assert weight.requires_grad
    assert torch.equal(weight.grad, torch.ones(2, 2))


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf"), True])
def test_bad_bound(bound: float) -> None:
    with pytest.raises(ValueError, match=r"^bound: expected a finite number.* above 0, got"):
        clip_weights_(nn.Linear(1, 1), bound)
