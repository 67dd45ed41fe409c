"""Local bounds in the 1- and the maximum norm against enumeration, and their parts one by one."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.networks import Fn, relu_network
from sngan.lipschitz import lipschitz_bounds, verify_certificate
from sngan.lipschitz.certificate.document import digest_of
from sngan.lipschitz.certificate.reading import CertificateError
from sngan.lipschitz.local.slope_ranges import Pieces
from sngan.utils.plain import read_json, write_json

ORDERS = {"2": 2, "1": 1, "inf": math.inf}


def upper(network, inputs, **options):
    return lipschitz_bounds(network, (inputs,), lower=False, **options).upper


def on_grid(network, centre, half, norm, side=101):
    line = torch.linspace(-1, 1, side, dtype=torch.float64)
    points = centre + half * torch.cartesian_prod(line, line)
    rows = torch.func.vmap(torch.func.jacrev(network))(points).reshape(len(points), -1, 2)
    return torch.linalg.matrix_norm(rows, ORDERS[norm]).max().item()


@pytest.mark.usefixtures("full_effort")
@pytest.mark.parametrize("norm", ORDERS)
@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5])
def test_mid_range_boxes_are_near_the_truth(norm, exponent):
    torch.manual_seed(3)
    network, half = relu_network((2, 8, 8, 2)), 10.0**exponent
    centre = torch.randn(2, dtype=torch.float64)
    truth = on_grid(network, centre, half, norm)
    found = upper(network, 2, box=(centre - half, centre + half), norm=norm)
    assert truth * (1 - 1e-9) <= found <= (1.5 if norm == "2" else 1.25) * truth


@pytest.mark.parametrize("norm", ["1", "inf"])
@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_is_the_maximum_over_all_patterns(norm, seed):
    torch.manual_seed(seed)
    network = relu_network((3, 6, 1) if norm == "inf" else (1, 6, 3), 0.2)
    first, last = network[0].weight.detach(), network[2].weight.detach()
    truth = max(
        torch.linalg.matrix_norm(last * torch.tensor(slopes).double() @ first, ORDERS[norm]).item()
        for slopes in itertools.product([0.2, 1.0], repeat=6)
    )
    assert upper(network, first.shape[1], norm=norm) == pytest.approx(truth, rel=1e-7)


def kinked(values):
    """The function of one variable with these slopes below and above 0."""
    return nn.Sequential(nn.Linear(1, 1, bias=False), Fn(values)).double()


@pytest.mark.parametrize("norm", ORDERS)
@pytest.mark.parametrize("box", [(-0.1, 2.0), (-2.0, 0.1), (-1.0, 1.0), (0.0, 1.0), (-1.0, 0.0)])
def test_slopes_count_and_not_only_chords_from_the_centre(norm, box):
    # the chord from the centre is flatter than the slope 3 beyond the kink
    for slopes in ((3.0, 1.0), (1.0, 3.0), (-2.0, 1.0)):
        network = kinked(lambda x, s=slopes: s[1] * x.relu() - s[0] * (-x).relu())
        with torch.no_grad():
            network[0].weight.fill_(1.0)
        met = [abs(s) for s, is_met in zip(slopes, (box[0] < 0, box[1] > 0), strict=True) if is_met]
        found = upper(network, 1, box=box, norm=norm)
        assert found >= max(met) * (1 - 1e-12)
    steep = kinked(nn.functional.relu)
    assert upper(steep, 1, box=box, norm=norm) <= steep[0].weight.abs().item() * (1 + 1e-6)


@settings(deadline=None, max_examples=200)
@given(
    breaks=st.lists(st.floats(-3, 3), min_size=1, max_size=3, unique=True).map(sorted),
    slopes=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    ends=st.tuples(st.floats(-4, 4), st.floats(-4, 4), st.floats(-4, 4)).map(sorted),
    near=st.sampled_from([1e-9, 1e-3, 1.0]),
    share=st.floats(0, 1),
    wrong=st.floats(-1, 1),
)
def test_every_chord_is_in_its_range(breaks, slopes, ends, near, share, wrong):
    low, centre, high = (torch.tensor([end], dtype=torch.float64) for end in ends)
    pieces = Pieces(breaks, slopes[: len(breaks) + 1])
    near = torch.tensor([near], dtype=torch.float64)
    least, most = pieces.chords(centre, low, high, near=near, error=near / 4)
    whole = pieces.on(low, high)
    assert whole[0] <= least
    assert most <= whole[1]

    # the computed centre has an error
    centre = (centre + wrong * near / 4).clamp(low, high)
    z = float(low + share * (high - low))
    steps = [min(max(b, float(low)), float(high)) for b in (z, *breaks)]
    for point in steps:
        if abs(point - float(centre)) > 1e-6:
            between = sorted((point, float(centre)))
            grid = [between[0], *(b for b in breaks if between[0] < b < between[1]), between[1]]
            chord = sum(
                slope_at((a + b) / 2, breaks, pieces.slopes) * (b - a)
                for a, b in itertools.pairwise(grid)
            ) / (between[1] - between[0])
            assert float(least) - 1e-9 <= chord <= float(most) + 1e-9


def slope_at(point, breaks, slopes):
    return slopes[sum(b < point for b in breaks)]


@pytest.mark.usefixtures("full_effort")
@pytest.mark.parametrize("norm", ORDERS)
def test_kinks_on_the_borders_of_parts_count(norm):
    # the parts of the box end at 0, at ±½ and at ±¼, where the slope changes
    network = nn.Sequential(Fn(lambda x: (x - 0.5).relu() * 3 - (-x - 0.25).relu() * 5 + x.abs()))
    found = upper(network, 1, box=(-1.0, 1.0), norm=norm)
    assert found == pytest.approx(4.0, rel=1e-6)


@pytest.mark.usefixtures("full_effort")
@pytest.mark.parametrize("norm", ["1", "inf"])
def test_a_certificate_of_parts_is_checked_again(norm, tmp_path):
    torch.manual_seed(1)
    network, path = relu_network((2, 6, 6, 2)), tmp_path / "certificate.json"
    bounds = lipschitz_bounds(network, (2,), box=(-1.0, 1.5), norm=norm, samples=8, rounds=2)
    assert bounds.method == "intervals"
    bounds.save(path)
    assert verify_certificate(path, network).upper == bounds.upper
    document = read_json(path)
    document["claim"]["upper"] *= 1 - 1e-6
    document["digest"] = digest_of(document)
    write_json(path, document, indent=1)
    with pytest.raises(CertificateError, match="upper is below"):
        verify_certificate(path, network)
