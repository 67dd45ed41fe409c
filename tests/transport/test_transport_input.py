"""Input that transport refuses, in one line that names the argument."""

import numpy as np
import pytest
import torch

from helpers.clouds import clouds
from sngan.transport import (
    critic_bound,
    dual_linear_program,
    entropic_wasserstein,
    explain,
    landscape,
    minibatch_wasserstein,
    moves,
    points,
    sliced_wasserstein,
    wasserstein,
)

GOOD = np.zeros((3, 2))
HALF = np.full(3, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wasserstein(GOOD, GOOD * np.nan), r"^y: expected finite values, got nan"),
        (lambda: wasserstein(GOOD + np.inf, GOOD), r"^x: expected finite values, got inf"),
        (
            lambda: wasserstein(GOOD[:0], GOOD),
            r"^x: expected at least one point.*got shape \(0, 2\)",
        ),
        (lambda: wasserstein(GOOD, GOOD[:, :0]), r"^y: expected at least one point"),
        (lambda: wasserstein(GOOD, np.zeros(())), r"^y: expected at least one"),
        (lambda: wasserstein(np.zeros((2, 3, 4)), GOOD), r"^x: .* got shape \(2, 3, 4\)"),
        (lambda: wasserstein(GOOD, np.zeros((3, 5))), r"^y: .* dimension 2, as x, got dimension 5"),
        (lambda: wasserstein(GOOD.astype(int), GOOD), r"^x: .* floating-point .*, got int64"),
        (lambda: wasserstein(GOOD, GOOD + 0j), r"^y: expected a real .*, got complex128"),
        (lambda: wasserstein(torch.zeros(3, 2).long(), GOOD), r"^x: .* got torch.int64"),
        (lambda: wasserstein(torch.zeros(3, 2) + 0j, GOOD), r"^x: .* got torch.complex64"),
        (lambda: wasserstein("ab", GOOD), r"^x: .* floating-point .*, got str"),
        (lambda: wasserstein([[0.0], [1.0, 2.0]], GOOD), r"^x: .* got a list that is no array"),
        (lambda: wasserstein(GOOD, GOOD, 0.5), r"^p: expected .* at least 1 .*, got 0.5"),
        (lambda: wasserstein(GOOD, GOOD, np.inf), r"^p: expected a finite number .* got inf"),
        (lambda: wasserstein(GOOD, GOOD, True), r"^p: expected a finite number .* got True"),
        (lambda: wasserstein(GOOD, GOOD, max_iterations=0), r"^max_iterations: .* got 0"),
        (
            lambda: wasserstein(GOOD, GOOD, weights_x=HALF),
            r"^weights_x: expected a sum of 1 within 1e-6, got 1.5",
        ),
        (
            lambda: wasserstein(GOOD, GOOD, weights_y=np.array([-1.0, 1.0, 1.0])),
            r"^weights_y: expected no negative weight, got -1",
        ),
        (
            lambda: wasserstein(GOOD, GOOD, weights_y=HALF[:2]),
            r"^weights_y: .* shape \(3,\), got shape \(2,\)",
        ),
        (lambda: wasserstein(GOOD, GOOD, weights_x=HALF * np.nan), r"^weights_x: .* got nan"),
        (
            lambda: wasserstein(GOOD, GOOD + 1e200, 2),
            r"^x, y: .* float64 can hold, got an overflow",
        ),
        (lambda: wasserstein(GOOD[:, 0], GOOD[:, 0] + 1e200, 2), r"^x, y: .* got an overflow"),
        (
            lambda: entropic_wasserstein(GOOD, GOOD, regularization=0.0),
            r"^regularization: expected a finite number above 0, got 0.0",
        ),
        (lambda: sliced_wasserstein(GOOD, GOOD, projections=0), r"^projections: .* got 0"),
        (lambda: sliced_wasserstein(GOOD, GOOD, seed=-1), r"^seed: .* got -1"),
        (
            lambda: minibatch_wasserstein(GOOD, GOOD, batch_size=4),
            r"^batch_size: expected at most 3, .* got 4",
        ),
        (lambda: minibatch_wasserstein(GOOD, GOOD, batches=0), r"^batches: .* got 0"),
        (
            lambda: dual_linear_program(np.zeros((300, 1)), np.zeros((200, 1))),
            r"^x, y: expected 400 points together at most.* got 300 \+ 200",
        ),
        (
            lambda: explain(GOOD, GOOD, plan=np.eye(2)),
            r"^plan: expected shape \(3, 3\), got .*2, 2",
        ),
        (lambda: explain(GOOD, GOOD, plan=np.eye(3)), r"^plan: expected rows that sum to the we"),
        (
            lambda: explain(GOOD, GOOD, plan=np.eye(3)[[0, 0, 1]] / 3),
            r"^plan: expected columns that sum to the weights within 1e-6, got an error of 0.333",
        ),
        (
            lambda: explain(GOOD, GOOD, plan=-np.eye(3)),
            r"^plan: expected no negative share, got -1",
        ),
        (lambda: explain(GOOD, GOOD, total=0.0), r"^total: expected a finite number above 0"),
        (lambda: moves(np.zeros((2, 3)), np.zeros((2, 3)), "never.png"), r"^x: .* 2 dimensions"),
        (lambda: landscape(np.zeros((2, 2))), r"^shifts: expected shape \(k,\)"),
        (lambda: landscape(np.zeros(2), width=-1.0), r"^width: expected .* at least 0, got -1.0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lipschitz": 0.0}, r"^lipschitz: expected a finite number above 0, got 0.0"),
        ({"lipschitz": float("inf")}, r"^lipschitz: .* got inf"),
        ({"lipschitz": float("nan")}, r"^lipschitz: .* got nan"),
        ({"x": GOOD}, r"^x: expected floating-point samples, a tensor .* got float64"),
        ({"y": torch.zeros(3, 2).int()}, r"^y: expected floating-point .* got torch.int32"),
        ({"y": torch.zeros(0, 2)}, r"^y: expected at least one sample, got none"),
        ({"y": torch.zeros(3, 4)}, r"^y: expected samples of shape \(2,\), as x, got \(4,\)"),
        ({"x": torch.full((3, 2), torch.nan)}, r"^x: expected finite values"),
        ({"critic": lambda z: z}, r"^critic: expected scores of shape \(3,\) or .* got .*3, 2"),
        ({"critic": lambda z: z[:, 0] / 0}, r"^critic: expected finite scores"),
        ({"weights_x": np.ones(3)}, r"^weights_x: expected a sum of 1"),
    ],
)
def test_bad_input_of_a_critic(changes, message):
    good = {
        "critic": lambda z: z[:, 0],
        "x": torch.zeros(3, 2),
        "y": torch.zeros(3, 2),
        "lipschitz": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        critic_bound(**(good | changes))


@pytest.mark.parametrize(
    "solve", [wasserstein, lambda x, y: entropic_wasserstein(x, y, regularization=1.0)]
)
def test_a_matrix_beyond_memory_names_what_to_use(monkeypatch, solve):
    monkeypatch.setattr(points, "available_memory", lambda: 2**20)
    x, y = clouds(300, 300, 2)
    with pytest.raises(
        ValueError, match=r"^x, y: .*use sliced_wasserstein.*300 × 300 points, about"
    ):
        solve(x, y)
    # points on a line need no matrix
    assert wasserstein(x[:, 0], y[:, 0]).optimal


def test_available_memory_is_a_sane_number():
    available = points.available_memory()
    assert available is None or 2**20 < available < 2**50
