"""Upper bounds of all methods against networks whose constant is known in closed form."""

import pytest

from benchmarks import truth
from sngan.lipschitz import lipschitz_bounds

# the largest ratio of each method to the truth, at sizes that take a second
LIMITS = {
    "weights ≥ 0, 2 layers": {"product": 1.3, "eclipse": 1.001, "sdp": 1.001},
    "weights ≥ 0, 5 layers": {"product": 1.4, "eclipse": 1.001, "sdp": 1.001},
    "orthogonal and MaxMin, 2 layers": dict.fromkeys(truth.METHODS, 1.001),
    "linear, 10 layers": dict.fromkeys(truth.METHODS, 1.001),
    "linear, 50 layers": dict.fromkeys(truth.METHODS, 1.001),
    "one variable, 2 neurons": {"product": 4.0, "eclipse": 4.0, "sdp": 4.0},
    "one variable, 32 neurons": {"product": 9.0, "eclipse": 3.0, "sdp": 3.0},
}


SLOW = ("weights ≥ 0, 5 layers", "one variable, 32 neurons")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in LIMITS],
)
def test_the_bounds_are_near_the_truth_and_not_below(name):
    known = truth.NETWORKS[name]()
    row = truth.measured(known)
    for method, limit in LIMITS[name].items():
        assert 1 - 1e-7 <= row.ratios[method] <= limit, method
    found = lipschitz_bounds(known.network, known.shape, slopes="product", samples=64, rounds=4)
    assert found.lower <= known.truth * (1 + 1e-6)


@pytest.mark.slow
def test_the_bound_by_a_search_is_tight_at_depth_50():
    row = truth.measured(truth.NETWORKS["weights ≥ 0, 50 layers"]())
    assert 1 - 1e-7 <= row.ratios["sdp"] <= 1.005


def test_a_page_has_all_networks_that_were_measured():
    row = truth.Row(2.0, dict.fromkeys(truth.METHODS, 1.25), dict.fromkeys(truth.METHODS, 0.5))
    assert truth.markdown({"a network": row}).splitlines()[-1] == (
        "| a network | 2 | 1.2500 | 1.2500 | 1.2500 | 0.5 |"
    )
