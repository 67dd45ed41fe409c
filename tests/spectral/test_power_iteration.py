"""Power iteration and spectral_norms against the SVD: from below, growing, at every magnitude."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.critics import NORMED, make_critic, top_singular_value
from sngan import spectral_norms
from sngan.spectral.power_iteration import power_iteration, power_steps


def random_matrix(seed: int, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return w, torch.randn(rows, generator=generator, dtype=torch.float64)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.integers(1, 12))
def test_it_grows_towards_the_largest_singular_value(seed, rows, columns, iterations):
    w, u = random_matrix(seed, rows, columns)
    largest = torch.linalg.svdvals(w)[0].item()
    sigma, left, right = power_iteration(w, u, iterations=iterations)
    assert sigma.item() <= largest * (1 + 1e-12)
    assert sigma.item() >= power_iteration(w, u, iterations=iterations - 1 or 1)[0] * (1 - 1e-12)
    assert left.norm().item() == pytest.approx(1, rel=1e-12)
    assert right.norm().item() == pytest.approx(1, rel=1e-12)
    assert (left @ w @ right).item() == pytest.approx(sigma.item(), rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 7), (7, 1)])
def test_it_converges_to_the_singular_vectors(shape):
    w, start = random_matrix(1, *shape)
    sigma, u, v = power_iteration(w, start, iterations=2000)
    left, values, right = torch.linalg.svd(w)
    assert sigma.item() == pytest.approx(values[0].item(), rel=1e-12)
    assert (left[:, 0] @ u).abs().item() == pytest.approx(1, rel=1e-9)
    assert (right[0] @ v).abs().item() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("iterations", [1, 100])
@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1e20, 1e36])
def test_squares_of_float32_numbers_stay_in_range(scale, iterations):
    w, start = (tensor.float() for tensor in random_matrix(2, 5, 4))
    expected, *_ = power_iteration(w, start / start.norm(), iterations=iterations)
    sigma, u, _ = power_iteration(w * scale, start / start.norm(), iterations=iterations)
    assert sigma.item() / scale == pytest.approx(expected.item(), rel=1e-5)
    assert u.norm().item() == pytest.approx(1, rel=1e-6)


def test_a_matrix_of_zeros_keeps_the_start():
    start = torch.tensor([0.6, 0.8])
    sigma, u, v = power_iteration(torch.zeros(2, 3), start, iterations=3)
    assert sigma == 0
    assert torch.equal(u, start)
    assert torch.equal(v, torch.zeros(3))


def test_any_linear_map_takes_the_same_steps_as_its_matrix():
    w, u = random_matrix(3, 6, 6)
    start = u.view(2, 3)
    by_map = power_steps(
        lambda v: (w @ v.flatten()).view(2, 3),
        lambda y: (w.t() @ y.flatten()).view(3, 2),
        u=start,
        wt_u=(w.t() @ u).view(3, 2),
        iterations=4,
    )
    _, by_matrix, _ = power_iteration(w, u, iterations=4)
    torch.testing.assert_close(by_map[0].flatten(), by_matrix, rtol=1e-12, atol=1e-14)


def test_spectral_norms_of_every_kind_of_layer():
    critic = make_critic()
    found = spectral_norms(critic, iterations=400)
    assert sorted(found) == sorted(NORMED)
    assert sorted(spectral_norms(critic, iterations=0)) == sorted(NORMED)
    for name, sigma in found.items():
        true = top_singular_value(critic.get_submodule(name))
        assert sigma.item() == pytest.approx(true, rel=1e-6)
        assert spectral_norms(critic, iterations=3)[name] <= true * (1 + 1e-12)


def test_spectral_norms_draw_no_numbers_and_keep_the_dtype():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2).double())
    state = torch.get_rng_state()
    first, second = spectral_norms(module).values()
    assert (first.dtype, second.dtype) == (torch.float32, torch.float64)
    assert torch.equal(torch.get_rng_state(), state)
