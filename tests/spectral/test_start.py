"""The first norms are exact: at construction, and for weights that are loaded or drawn again."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.critics import assert_identical, top_singular_value
from helpers.examples import examples
from sngan import SpectralNorm
from sngan.spectral.lanczos import leading_singular_vector
from sngan.spectral.operator.linear_map import linear_map


def matrix(spectrum: torch.Tensor, rows: int, columns: int, seed: int) -> torch.Tensor:
    """A random matrix with given singular values."""
    generator = torch.Generator().manual_seed(seed)
    sides = [
        torch.linalg.qr(torch.randn(n, len(spectrum), generator=generator, dtype=torch.float64))[0]
        for n in (rows, columns)
    ]
    return (sides[0] * spectrum) @ sides[1].t()


SPECTRA = {
    "all equal": torch.ones,
    "nearly equal": lambda n: 1 - torch.logspace(-8, -0.3, n, dtype=torch.float64),
    "one": lambda n: torch.tensor([1.0] + [0.0] * (n - 1)),
    "spread": lambda n: torch.linspace(1, 0.01, n),
}


@settings(max_examples=examples(60), deadline=None)
@given(
    spectrum=st.sampled_from(sorted(SPECTRA)),
    rows=st.integers(1, 90),
    columns=st.integers(1, 90),
    size=st.integers(-99, 99),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_sigma_at_the_start_is_that_of_an_svd(spectrum, rows, columns, size, dtype, seed):
    sigma = 10.0 ** (0.3 * size)  # from 2e-30 to 5e29
    values = SPECTRA[spectrum](min(rows, columns)).double() * sigma
    layer = nn.Linear(columns, rows, bias=False, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(matrix(values, rows, columns, seed))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    sn = SpectralNorm(layer, optimizer)
    assert sn.sigmas()[""].item() == pytest.approx(values.max().item(), rel=1e-6)
    # a weight whose norm is 1 within 0.1 % is not changed
    rel = 1e-6 if abs(sigma - 1) > 1e-3 else 1e-3
    assert top_singular_value(layer.double()) == pytest.approx(1.0, rel=rel)


@pytest.mark.parametrize("sigma", [1e-30, 1e-20, 1.0, 5e9, 1e30])
@pytest.mark.parametrize("iterations", [1, 3])
def test_every_size_of_weight_is_trained_alike(sigma, iterations):
    """If step and weight are scaled together, the normalized weights are the same at every size."""
    trained = []
    for scale in (1.0, sigma):
        torch.manual_seed(0)
        layer = nn.Linear(6, 4, bias=False)
        with torch.no_grad():
            layer.weight.mul_(scale)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1 * scale)
        sn = SpectralNorm(layer, optimizer, iterations=iterations)
        for _ in range(5):
            optimizer.zero_grad()
            # the raw gradient is that of the normalized weight, divided by the size
            (layer(torch.arange(6.0)).square().sum() * scale).backward()
            optimizer.step()
        trained.append((layer.weight.detach(), sn.sigmas()[""].item() / scale))
    torch.testing.assert_close(trained[0][0], trained[1][0], rtol=1e-5, atol=1e-6)
    assert trained[0][1] == pytest.approx(trained[1][1], rel=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"), (3, 8, 8)),
        (lambda: nn.Conv1d(2, 4, 3, padding=1, padding_mode="circular"), (2, 9)),
    ],
)
def test_the_norm_of_a_map_is_exact_where_the_torus_is_the_layer(layer, shape):
    torch.manual_seed(0)
    module = layer().double()
    true = torch.linalg.svdvals(linear_map(module, shape).dense())[0].item()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    sn = SpectralNorm(module, optimizer, kind="operator", input_shape=shape)
    assert sn.sigmas()[""].item() == pytest.approx(true, rel=1e-6)
    after = torch.linalg.svdvals(linear_map(module, shape).dense())[0].item()
    assert after == pytest.approx(1.0, rel=1e-6)


def test_no_random_state_is_used():
    layer = nn.Linear(4, 3)
    before = torch.get_rng_state()
    SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    assert torch.equal(torch.get_rng_state(), before)


def test_zero_stays_zero():
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    sn = SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    assert not layer.weight.any()
    assert math.isfinite(sn.sigmas()[""].item())


WRITES = {
    "copy_": lambda layer, weight: layer.weight.copy_(weight),
    "load_state_dict": lambda layer, weight: layer.load_state_dict(
        {**layer.state_dict(), "weight": weight}
    ),
    "data": lambda layer, weight: setattr(layer.weight, "data", weight.clone()),
    "vector": lambda layer, weight: nn.utils.vector_to_parameters(
        torch.cat([weight.flatten(), layer.bias]), layer.parameters()
    ),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("sigma", [20.0, 1e-3])
def test_the_first_gradient_of_a_written_weight_is_that_of_its_direction(write, sigma):
    """``(g − ⟨g, W⟩/σ · uvᵀ)/σ``, from a dense SVD of the written weight."""
    torch.manual_seed(0)
    layer = nn.Linear(6, 5).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    sn = SpectralNorm(layer, optimizer)
    with torch.no_grad():
        weight = torch.randn(5, 6, dtype=torch.float64)
        weight *= sigma / torch.linalg.svdvals(weight)[0]
        WRITES[write](layer, weight)
    assert sn.sigmas()[""].item() == pytest.approx(sigma, rel=1e-6)
    optimizer.zero_grad()
    layer(torch.randn(7, 6, dtype=torch.float64)).sin().sum().backward()
    g = layer.weight.grad.clone()
    u, values, vt = torch.linalg.svd(weight)
    expected = (g - (g * weight).sum() / values[0] * torch.outer(u[:, 0], vt[0])) / values[0]
    optimizer.step()
    scale = expected.abs().max().item()
    torch.testing.assert_close(layer.weight.grad, expected, rtol=0, atol=1e-5 * scale)
    assert top_singular_value(layer) == pytest.approx(1.0, rel=1e-6)
    assert sn.sigmas()[""].item() == pytest.approx(sigma, rel=1e-6)


def test_a_write_that_torch_does_not_count_keeps_the_gradients_size():
    """After ``weight.data.mul_(20)`` u is still right, so the gradient has the right size."""
    torch.manual_seed(0)
    grads = []
    for factor in (1.0, 20.0):
        torch.manual_seed(0)
        layer = nn.Linear(6, 5).double()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
        SpectralNorm(layer, optimizer)
        layer.weight.data.mul_(factor)
        layer(torch.ones(7, 6, dtype=torch.float64)).sum().backward()
        optimizer.step()
        grads.append(layer.weight.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-12)


def test_weights_that_are_swapped_out_and_in_again_train_as_if_nothing_happened():
    """An average is put into the network for an evaluation, and the weights are put back."""

    def trained(*, swap: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        layer = nn.Linear(6, 5)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        SpectralNorm(layer, optimizer)
        for step in range(12):
            optimizer.zero_grad()
            layer(torch.full((2, 6), step / 12)).square().sum().backward()
            optimizer.step()
            if swap and step % 4 == 3:
                kept = layer.weight.detach().clone()
                with torch.no_grad():
                    layer.weight.copy_(torch.randn(5, 6, generator=torch.Generator()))
                    layer.weight.copy_(kept)
        return [parameter.detach() for parameter in layer.parameters()]

    assert_identical(trained(swap=True), trained(swap=False))


def test_a_direction_that_overtakes_the_first_one_is_found():
    """In a diagonal matrix, power iteration mixes no directions; only the start can."""
    layer = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([1.0, 0.5])))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    SpectralNorm(layer, optimizer)
    for _ in range(60):
        layer.weight.grad = torch.diag(torch.tensor([0.0, -1.0]).double())
        optimizer.step()
    assert top_singular_value(layer) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("shape", [(8, 72), (13, 117), (40, 9)])
def test_rounding_does_not_choose_between_equal_singular_values(shape):
    """Of an orthogonal weight each vector is a leading one; the start decides, also on ranks."""
    torch.manual_seed(0)
    weight = nn.init.orthogonal_(torch.empty(shape).double())
    rounded = weight * (1 + torch.finfo(weight.dtype).eps * torch.randn(shape).double())
    start = torch.randn(shape[0]).double()
    one, other = (leading_singular_vector(w.mv, w.t().mv, start=start) for w in (weight, rounded))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    # the start, in the space that the weight reaches
    reached = weight @ (weight.t() @ start)
    torch.testing.assert_close(one, reached / reached.norm(), rtol=0, atol=1e-12)
