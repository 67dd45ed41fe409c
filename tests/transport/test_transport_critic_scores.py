"""Scores of any size and type in the lower bound that a critic gives."""

import math
from fractions import Fraction

import pytest
import torch

from sngan.transport import critic_bound

LEFT = torch.tensor([[0.0], [1.0]]).double()
RIGHT = torch.tensor([[2.0], [3.0]]).double()


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1.0, 1e200, 1e300, 1e307, 8.9e307])
def test_scores_of_any_size_give_the_distance_and_no_more(size):
    def critic(z):
        return (1 - 2 * (z[:, 0] / 3)) * size

    scores = [[Fraction(score) for score in critic(side).tolist()] for side in (LEFT, RIGHT)]
    exact = (sum(scores[0]) - sum(scores[1])) / 2 / Fraction(size)
    bound = critic_bound(critic, LEFT, RIGHT, size)
    assert Fraction(bound) <= exact
    assert bound == pytest.approx(float(exact), rel=1e-9)


def test_the_largest_scores_of_both_signs():
    def critic(z):
        return torch.where(z[:, 0] < 1.5, 1.0, -1.0).double() * 1.7e308

    assert critic_bound(critic, LEFT, RIGHT, 1.7e308) == pytest.approx(2.0)
    assert critic_bound(critic, RIGHT, LEFT, 1.7e308) == pytest.approx(-2.0)
    assert 1e308 < critic_bound(critic, LEFT, RIGHT, 1.0) < math.inf


OTHERS = {
    "torch.int64": lambda z: (z[:, 0] > 1).long(),
    "torch.complex128": lambda z: z[:, 0] + 0j,
    "NoneType": lambda z: None,
    "float64": lambda z: z[:, 0].numpy(),
    "tuple": lambda z: (z[:, 0],),
    "torch.sparse_coo": lambda z: z[:, 0].to_sparse(),
    "meta device": lambda z: z[:, 0].to("meta"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_scores_of_another_type_are_refused(name):
    with pytest.raises(ValueError, match=f"^critic: expected floating-point scores, .*{name}"):
        critic_bound(OTHERS[name], LEFT, RIGHT, 1.0)
