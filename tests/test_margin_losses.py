"""Losses of 1-Lipschitz classifiers against closed forms, limits and the exact distance."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import sngan
from sngan import losses

SCORES = st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=12)


def column(rows: list[tuple[float, bool]]) -> tuple[Tensor, Tensor]:
    scores = torch.tensor([row[0] for row in rows], dtype=torch.float64)
    return scores, torch.tensor([row[1] for row in rows])


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def plain_kr(rows: list[tuple[float, bool]]) -> float:
    return mean([s for s, y in rows if not y]) - mean([s for s, y in rows if y])


@given(SCORES)
def test_kr_is_a_difference_of_means(rows):
    scores, labels = column(rows)
    assert losses.kr(scores, labels).item() == pytest.approx(plain_kr(rows), abs=1e-12)
    assert losses.kr(scores[:, None], labels[:, None].int()) == losses.kr(scores, labels)


@given(SCORES, st.floats(0, 1), st.floats(0.1, 3))
def test_hkr_is_the_weighted_sum_of_kr_and_a_hinge(rows, alpha, margin):
    scores, labels = column(rows)
    hinge = mean([max(0.0, margin - (s if y else -s)) for s, y in rows])
    found = losses.hkr(scores, labels, alpha=alpha, margin=margin).item()
    assert found == pytest.approx((1 - alpha) * plain_kr(rows) + alpha * hinge, abs=1e-12)
    # two classes with opposite logits
    logits = torch.stack([-scores, scores], dim=1)
    both = losses.multiclass_hkr(logits, labels.long(), alpha=alpha, margin=margin).item()
    assert both == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_multiclass_hkr_is_a_mean_over_classes(classes):
    logits, labels = torch.randn(20, classes).double(), torch.randint(classes, (20,))
    rows = [
        [(float(logits[i, k]), bool(labels[i] == k)) for i in range(20)] for k in range(classes)
    ]
    hinges = [
        sum(
            max(0.0, 0.7 - s) / 2 if y else max(0.0, 0.7 + s) / (2 * (classes - 1))
            for s, y in (row[i] for row in rows)
        )
        for i in range(20)
    ]
    expected = 0.2 * mean([plain_kr(row) for row in rows]) + 0.8 * mean(hinges)
    found = losses.multiclass_hkr(logits, labels, alpha=0.8, margin=0.7).item()
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 8.0])
def test_margin_cross_entropy_is_a_logarithm_of_a_sum(temperature):
    logits, labels = torch.randn(9, 4).double(), torch.randint(4, (9,))
    terms = [
        math.log(
            sum(
                math.exp(temperature * (float(row[k] - row[y]) + (0.3 if k != y else 0.0)))
                for k in range(4)
            )
        )
        for row, y in zip(logits, labels.tolist(), strict=True)
    ]
    found = losses.margin_cross_entropy(logits, labels, temperature=temperature, margin=0.3).item()
    assert found == pytest.approx(mean(terms) / temperature, abs=1e-12)


def test_the_limits_of_the_temperature():
    logits, labels = torch.randn(50, 5).double(), torch.randint(5, (50,))
    own = torch.nn.functional.one_hot(labels, 5).bool()
    runner_up = logits.masked_fill(own, -math.inf).amax(1)
    hinge = torch.relu(0.4 + runner_up - logits[own]).mean()
    hot = losses.margin_cross_entropy(logits, labels, temperature=1e6, margin=0.4)
    torch.testing.assert_close(hot, hinge, atol=1e-5, rtol=0)
    cold = losses.margin_cross_entropy(logits, labels, temperature=1e-4)
    limit = (logits.mean(1) - logits[own]).mean() + math.log(5) / 1e-4
    torch.testing.assert_close(cold, limit, atol=1e-3, rtol=0)


def test_kr_of_the_best_critic_is_the_wasserstein_distance():
    """On a line, two shifted samples have the distance of the shift, and f(x) = x attains it."""
    x = torch.randn(40)
    both, labels = torch.cat([x + 2, x]), torch.arange(80) < 40
    distance = sngan.wasserstein(x[:, None] + 2, x[:, None]).distance
    assert losses.kr(both, labels).item() == pytest.approx(-distance, rel=1e-6)
    assert losses.kr(torch.tanh(both), labels).item() > -distance


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, y: losses.kr(s[:, 0], y > 0),
        lambda s, y: losses.hkr(s[:, 0], y > 0),
        losses.multiclass_hkr,
        lambda s, y: losses.margin_cross_entropy(s, y, temperature=3.0, margin=0.5),
    ],
)
def test_gradients_and_precision(loss: Callable[[Tensor, Tensor], Tensor]):
    logits, labels = torch.randn(12, 3).double().requires_grad_(), torch.arange(12) % 3
    assert torch.autograd.gradcheck(lambda s: loss(s, labels), logits)
    low = loss(logits.detach().bfloat16(), labels)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(loss(logits, labels).item(), abs=0.05)


def test_a_batch_of_one_class_has_finite_losses():
    scores, labels = torch.tensor([1.0, 2.0]), torch.tensor([1, 1])
    assert losses.kr(scores, labels) == -1.5
    assert bool(losses.hkr(scores, labels).isfinite())


ROWS = torch.zeros(3)
BAD: dict[str, Callable[[], Tensor]] = {
    "scores: expected floating-point scores": lambda: losses.kr(ROWS.int(), ROWS),
    "scores: expected .* got torch.float32 of shape .3, 2": lambda: losses.kr(
        torch.zeros(3, 2), ROWS
    ),
    "labels: expected 3 labels, 0 or 1, got .2,": lambda: losses.hkr(ROWS, torch.zeros(2)),
    "alpha": lambda: losses.hkr(ROWS, ROWS, alpha=1.5),
    "margin": lambda: losses.hkr(ROWS, ROWS, margin=0.0),
    "logits: expected": lambda: losses.multiclass_hkr(torch.zeros(3, 1), ROWS.long()),
    "labels: expected int64 class numbers": lambda: losses.multiclass_hkr(torch.zeros(3, 2), ROWS),
    "temperature": lambda: losses.margin_cross_entropy(
        torch.zeros(3, 2), ROWS.long(), temperature=0.0
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_argument_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
