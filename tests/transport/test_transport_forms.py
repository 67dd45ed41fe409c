"""Transport takes numbers in every form, and refuses masked and missing ones."""

import warnings

import numpy as np
import pytest
import torch

from helpers.clouds import clouds
from helpers.inputs import forms, refused
from sngan.transport import (
    critic_bound,
    dual_linear_program,
    entropic_wasserstein,
    explain,
    landscape,
    minibatch_wasserstein,
    sliced_wasserstein,
    wasserstein,
)

X, Y = clouds(5, 4, 2)
CALLS = {
    "wasserstein": lambda x, y: wasserstein(x, y).distance,
    "entropic": lambda x, y: entropic_wasserstein(x, y, regularization=0.1).distance,
    "sliced": lambda x, y: sliced_wasserstein(x, y, projections=4).distance,
    "minibatch": lambda x, y: minibatch_wasserstein(x, y, batch_size=3, batches=2).distance,
    "linear program": lambda x, y: dual_linear_program(x, y).primal,
    "explain": explain,
    "landscape": lambda x, y: landscape(x).wasserstein.sum(),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("form", forms(X))
def test_numbers_in_every_form(name, form):
    x, y = (X[:, 0], Y[:, 0]) if name == "landscape" else (X, Y)
    x, y = (np.ascontiguousarray(part) for part in (x, y))
    expected = CALLS[name](x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CALLS[name](forms(x)[form], forms(y)[form]) == expected


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("form", refused(X))
def test_forms_that_are_refused(name, form):
    with pytest.raises(ValueError, match=r"^(x|shifts): expected a real floating-point tensor"):
        CALLS[name](refused(X)[form], Y)


@pytest.mark.parametrize("form", sorted(set(refused(X)) - {"nothing"}))
def test_weights_and_plans_that_are_refused(form):
    weights = refused(np.full(5, 0.2))[form]
    for solve in (wasserstein, dual_linear_program):
        with pytest.raises(ValueError, match=r"^weights_x: expected a real floating-point"):
            solve(X, Y, weights_x=weights)
    with pytest.raises(ValueError, match=r"^weights_y: expected a real floating-point"):
        critic_bound(lambda z: z[:, 0], *map(torch.from_numpy, (X, X)), 1.0, weights_y=weights)
    with pytest.raises(ValueError, match=r"^plan: expected a real floating-point"):
        explain(X, Y, plan=weights)


@pytest.mark.parametrize("form", forms(X))
def test_weights_in_every_form(form):
    weights = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    expected = wasserstein(X, Y, weights_x=weights).distance
    assert wasserstein(X, Y, weights_x=forms(weights)[form]).distance == expected


def test_integers_in_lists_are_numbers():
    # the example in the documentation of scipy.stats.wasserstein_distance
    assert wasserstein([0, 1, 3], [5, 6, 8]).distance == pytest.approx(5, rel=1e-12)


def test_all_that_is_masked_is_counted():
    masked = np.ma.array(X, mask=np.eye(5, 2, dtype=bool))
    with pytest.raises(ValueError, match=r"without masked values, got .* 2 of 10 values masked"):
        wasserstein(masked, Y)


def test_longer_floats_are_rounded_or_refused():
    assert wasserstein(X.astype(np.longdouble), Y).distance == wasserstein(X, Y).distance
    if np.finfo(np.longdouble).max > np.finfo(float).max:
        with pytest.raises(ValueError, match=r"^x: expected finite values, got inf"):
            wasserstein(X.astype(np.longdouble) * np.longdouble(10) ** 400, Y)


@pytest.mark.parametrize("form", ["sparse", "meta", "masked tensor", "masked", "complex tensor"])
def test_samples_of_a_critic_are_dense_tensors(form):
    good = torch.from_numpy(X.copy())
    with pytest.raises(ValueError, match=r"^y: expected floating-point samples, a tensor \(n, "):
        critic_bound(lambda z: z[:, 0], good, refused(X)[form], 1.0)


def test_a_common_offset_of_the_scores_cancels():
    x, y = (torch.from_numpy(part) for part in clouds(50, 40, 2))
    bounds = [critic_bound(lambda z, c=c: z[:, 0] + c, y, x, 1.0) for c in (0.0, 1e9)]
    assert bounds[1] == pytest.approx(bounds[0], abs=1e-6)
    assert bounds[1] <= bounds[0]


def test_scores_of_few_digits_lower_the_bound():
    # float32 scores step by 8 here: their plain difference would "prove" 8 of a distance of 0.5
    x, y = torch.full((1, 1), 0.5), torch.zeros(1, 1)
    for offset in (1e8, -1e8, 1e8 + 4):
        assert critic_bound(lambda z, c=offset: z[:, 0] + c, x, y, 1.0) <= 0.5
    half = critic_bound(lambda z: z[:, 0].bfloat16(), x * 1.003, y, 1.0)
    assert half <= 0.5015


def test_uneven_weights_do_not_lift_a_critic():
    x, y = torch.tensor([[0.0], [1e25]], dtype=torch.float64), torch.zeros(1, 1).double()
    weights = [1 - 1e-20, 1e-20]
    bound = critic_bound(lambda z: z[:, 0], x, y, 1.0, weights_x=weights)
    assert bound == pytest.approx(1e5, rel=1e-12)
    assert bound <= wasserstein(x, y, weights_x=weights).upper
