"""Losses against naive closed forms in 60 digits, their derivatives, and their optima."""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sngan import losses
from sngan.losses import LOSSES


def log_sigmoid(s: Decimal) -> Decimal:
    return (1 / (1 + (-s).exp())).ln()


def log_complement(s: Decimal) -> Decimal:
    return (1 / (1 + s.exp())).ln()


def sigmoid(s: float) -> float:
    return 1 / (1 + math.exp(-s)) if s > -700 else 0.0


class Row(NamedTuple):
    """The naive terms of real scores, fake scores and the generator, with their derivatives.

    ``optimum`` are the best critic's scores at two points, where three quarters and one quarter of
    the samples are real, and its loss.
    """

    name: str
    terms: tuple[Callable[[Decimal], Decimal], ...]
    derivatives: tuple[Callable[[float], float], ...]
    optimum: tuple[float, float, float] | None


# −V(D*) of Goodfellow et al.: log 4 − 2·JSD of (3/4, 1/4) and (1/4, 3/4)
ENTROPY = -2 * (0.75 * math.log(0.75) + 0.25 * math.log(0.25))

ROWS = [
    Row(
        "minimax",
        (lambda s: -log_sigmoid(s), lambda s: -log_complement(s), log_complement),
        (lambda s: sigmoid(s) - 1, sigmoid, lambda s: -sigmoid(s)),
        (math.log(3), -math.log(3), ENTROPY),
    ),
    Row(
        "non_saturating",
        (lambda s: -log_sigmoid(s), lambda s: -log_complement(s), lambda s: -log_sigmoid(s)),
        (lambda s: sigmoid(s) - 1, sigmoid, lambda s: sigmoid(s) - 1),
        (math.log(3), -math.log(3), ENTROPY),
    ),
    Row(
        "least_squares",
        (lambda s: (s - 1) ** 2 / 2, lambda s: s**2 / 2, lambda s: (s - 1) ** 2 / 2),
        (lambda s: s - 1, lambda s: s, lambda s: s - 1),
        (0.75, 0.25, 0.1875),
    ),
    Row(
        "wasserstein",
        (lambda s: -s, lambda s: s, lambda s: -s),
        (lambda s: -1, lambda s: 1, lambda s: -1),
        None,
    ),
    Row(
        "hinge",
        (
            lambda s: max(Decimal(0), 1 - s),
            lambda s: max(Decimal(0), 1 + s),
            lambda s: -s,
        ),
        (lambda s: -1 if s < 1 else 0, lambda s: 1 if s > -1 else 0, lambda s: -1),
        (1.0, -1.0, 1.0),
    ),
]
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
MODERATE = [-20.0, -3.7, -1.25, -0.5, 0.0, 0.5, 0.75, 1.5, 3.1, 20.0]
EXTREME = [-1e4, -500.0, 500.0, 1e4]


def exact_mean(term: Callable[[Decimal], Decimal], scores: list[float]) -> float:
    with localcontext() as context:
        context.prec = 60
        return float(sum((term(Decimal(s)) for s in scores), Decimal(0)) / len(scores))


def tensor(scores: list[float], **options: object) -> torch.Tensor:
    return torch.tensor(scores, **{"dtype": torch.float64, **options})


def test_every_loss_has_a_row() -> None:
    assert [*(row.name for row in ROWS), "relativistic"] == list(LOSSES)
    assert all(getattr(losses, name) is pair for name, pair in LOSSES.items())


@rows
@pytest.mark.parametrize("scores", [MODERATE, EXTREME], ids=["moderate", "extreme"])
def test_values(row: Row, scores: list[float]) -> None:
    pair, (real, fake, generator) = LOSSES[row.name], row.terms
    fakes = [s / 2 for s in scores[1:]]
    expected = exact_mean(real, scores) + exact_mean(fake, fakes)
    value = pair.critic(tensor(scores), tensor(fakes))
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-13, abs=1e-13)
    assert pair.generator(tensor(fakes)).item() == pytest.approx(
        exact_mean(generator, fakes), rel=1e-13, abs=1e-13
    )


@rows
@given(score=st.floats(-1e4, 1e4))
def test_values_of_one_score(row: Row, score: float) -> None:
    pair, (real, fake, generator) = LOSSES[row.name], row.terms
    one, none = tensor([score]), tensor([0.0])
    at_zero = exact_mean(real, [0.0]), exact_mean(fake, [0.0])
    close = {"rel": 1e-12, "abs": 1e-12}
    assert pair.critic(one, none).item() == pytest.approx(
        exact_mean(real, [score]) + at_zero[1], **close
    )
    assert pair.critic(none, one).item() == pytest.approx(
        exact_mean(fake, [score]) + at_zero[0], **close
    )
    assert pair.generator(one).item() == pytest.approx(exact_mean(generator, [score]), **close)


@rows
@pytest.mark.parametrize("scores", [MODERATE, EXTREME], ids=["moderate", "extreme"])
def test_gradients_are_the_derivatives(row: Row, scores: list[float]) -> None:
    pair = LOSSES[row.name]
    real, fake, own = (tensor(scores, requires_grad=True) for _ in range(3))
    (pair.critic(real, fake) + pair.generator(own)).backward()
    for leaf, derivative in zip((real, fake, own), row.derivatives, strict=True):
        expected = tensor([derivative(s) / len(scores) for s in scores])
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-12, atol=1e-15)


@rows
def test_gradcheck(row: Row) -> None:
    pair = LOSSES[row.name]
    real = tensor(MODERATE, requires_grad=True)
    fake = tensor(MODERATE[::-1], requires_grad=True)
    assert torch.autograd.gradcheck(pair.critic, (real, fake))
    assert torch.autograd.gradcheck(pair.generator, (fake,))


@rows
def test_only_relativistic_generators_look_at_real_scores(row: Row) -> None:
    pair, fake = LOSSES[row.name], tensor(MODERATE)
    assert not pair.relativistic
    assert torch.equal(pair.generator(fake, fake * 3), pair.generator(fake))


@rows
def test_best_critic(row: Row) -> None:
    """At two points, with real samples in the ratio 3:1 and fake ones in the ratio 1:3."""
    pair = LOSSES[row.name]

    def loss(left: float, right: float) -> float:
        real, fake = [left, left, left, right], [left, right, right, right]
        return pair.critic(tensor(real), tensor(fake)).item()

    if row.optimum is None:
        assert loss(1e6, -1e6) == pytest.approx(-1e6)
        return
    left, right, least = row.optimum
    assert loss(left, right) == pytest.approx(least, rel=1e-12)
    for angle in range(16):
        for radius in (1e-3, 0.3, 5.0):
            shift = radius * math.cos(angle), radius * math.sin(angle)
            assert loss(left + shift[0], right + shift[1]) > least


def test_hinge_at_its_kinks() -> None:
    real = tensor([1.0, 1.0 - 1e-9, 1.0 + 1e-9], requires_grad=True)
    fake = tensor([-1.0, -1.0 + 1e-9, -1.0 - 1e-9], requires_grad=True)
    loss = losses.hinge.critic(real, fake)
    assert 0 < loss.item() < 1e-9
    loss.backward()
    torch.testing.assert_close(real.grad, tensor([0, -1 / 3, 0]))
    torch.testing.assert_close(fake.grad, tensor([0, 1 / 3, 0]))


def test_generators_gradient_where_the_critic_is_sure() -> None:
    sure = tensor([-30.0], requires_grad=True)
    (saturated,) = torch.autograd.grad(losses.minimax.generator(sure), sure)
    (alive,) = torch.autograd.grad(losses.non_saturating.generator(sure), sure)
    assert abs(saturated.item()) < 1e-12
    assert alive.item() == pytest.approx(-1)


@rows
def test_shapes_and_dtypes(row: Row) -> None:
    pair = LOSSES[row.name]
    real, fake = torch.randn(4, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    loss = pair.critic(real, fake)
    assert torch.equal(pair.critic(real[:, None], fake.view(1, 2, 3)), loss)
    narrow = real.bfloat16()
    assert pair.critic(narrow, narrow).dtype == torch.float32
    assert pair.generator(narrow).dtype == torch.float32
    wide = narrow.double()
    torch.testing.assert_close(
        pair.critic(narrow, narrow).double(), pair.critic(wide, wide), rtol=1e-5, atol=1e-6
    )


@rows
@pytest.mark.parametrize(
    "bad", [torch.ones(3, dtype=torch.int64), torch.ones(3, dtype=torch.complex64), torch.ones(0)]
)
def test_bad_scores(row: Row, bad: torch.Tensor) -> None:
    pair, good = LOSSES[row.name], torch.ones(3)
    with pytest.raises(ValueError, match=r"^real_scores: expected at least one floating"):
        pair.critic(bad, good)
    with pytest.raises(ValueError, match=r"^fake_scores: expected at least one floating"):
        pair.critic(good, bad)
    with pytest.raises(ValueError, match=r"^fake_scores: .* got torch"):
        pair.generator(bad)


# The relativistic pair


@pytest.mark.parametrize("scores", [MODERATE, EXTREME], ids=["moderate", "extreme"])
def test_relativistic_values(scores: list[float]) -> None:
    fakes = [s / 4 + 1 for s in reversed(scores)]
    pairs = list(zip(scores, fakes, strict=True))
    pair = losses.relativistic
    assert pair.relativistic
    for value, differences in (
        (pair.critic(tensor(scores), tensor(fakes)), [r - f for r, f in pairs]),
        (pair.generator(tensor(fakes), tensor(scores)), [f - r for r, f in pairs]),
    ):
        assert value.shape == ()
        expected = exact_mean(lambda d: -log_sigmoid(d), differences)
        assert value.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_relativistic_gradients() -> None:
    real, fake = tensor(MODERATE, requires_grad=True), tensor(MODERATE[::-1], requires_grad=True)
    losses.relativistic.critic(real, fake).backward()
    slope = [
        (sigmoid(r - f) - 1) / len(MODERATE) for r, f in zip(MODERATE, MODERATE[::-1], strict=True)
    ]
    torch.testing.assert_close(real.grad, tensor(slope), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(fake.grad, -tensor(slope), rtol=1e-12, atol=1e-15)
    assert torch.autograd.gradcheck(losses.relativistic.critic, (real, fake))
    assert torch.autograd.gradcheck(losses.relativistic.generator, (fake, real))


def test_relativistic_losses_see_differences_only() -> None:
    real, fake = tensor(MODERATE), tensor(MODERATE[::-1])
    pair = losses.relativistic
    torch.testing.assert_close(pair.critic(real + 7, fake + 7), pair.critic(real, fake))
    assert pair.critic(real, real).item() == pytest.approx(math.log(2), rel=1e-14)
    # scores are compared pair by pair, so the order matters
    assert abs((pair.critic(real, real.flip(0)) - pair.critic(real, real)).item()) > 0.1


def test_relativistic_bad_scores() -> None:
    pair, good = losses.relativistic, torch.ones(3)
    with pytest.raises(
        ValueError, match=r"^real_scores: expected scores, which a relativistic loss needs"
    ):
        pair.generator(good)
    with pytest.raises(ValueError, match=r"^fake_scores: expected the shape of real_scores, \(3,"):
        pair.critic(good, torch.ones(4))
    with pytest.raises(ValueError, match=r"^fake_scores: expected at least one floating"):
        pair.critic(good, good.long())
    assert pair.critic(good.bfloat16(), good.bfloat16()).dtype == torch.float32
