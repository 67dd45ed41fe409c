"""Certificates: they are verified, belong to one network, and no number in them can be changed."""

import copy
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.networks import Fn, Residual
from sngan.lipschitz import CertificateError, lipschitz_bounds, verify_certificate
from sngan.lipschitz.blocks import GroupSort
from sngan.lipschitz.certificate.document import digest_of
from sngan.lipschitz.certificate.intervals import Interval, norm_is_at_most

VERIFY = Path(__file__).parents[2] / "examples" / "verify.py"
SEARCH = {"samples": 24, "rounds": 2}


def chain():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))


NETWORKS = {
    "chain": (chain, (4,)),
    "linear": (lambda: nn.Linear(3, 2), (3,)),
    "leaky, ends with an activation": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 4), nn.ReLU()),
        (3,),
    ),
    "affine chain": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)),
        (3,),
    ),
    "residual": (
        lambda: nn.Sequential(Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 1)),
        (4,),
    ),
    "concatenation": (
        lambda: Fn(lambda x, inner: torch.cat([x, inner(x).relu()], 1), nn.Linear(4, 3)),
        (4,),
    ),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 2),
        ),
        (1, 4, 4),
    ),
    "sorting": (lambda: nn.Sequential(nn.Linear(4, 6), GroupSort(2), nn.Linear(6, 2)), (4,)),
    "constant": (lambda: Fn(lambda x: x * 0.0), (3,)),
}


def saved(tmp_path, module, shape, **options):
    path = tmp_path / "certificate.json"
    bounds = lipschitz_bounds(module, shape, **SEARCH, **options)
    bounds.save(path)
    return bounds, path


def leaves(value, path=()):
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            yield from leaves(part, (*path, key))
    else:
        yield path, value


def changed(document, path, value):
    copied = copy.deepcopy(document)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


SDP = pytest.param("sdp", marks=pytest.mark.slow)


@pytest.mark.parametrize("slopes", ["product", "eclipse", SDP])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_saved_is_verified(name, slopes, tmp_path):
    make, shape = NETWORKS[name]
    module = make().eval()
    bounds, path = saved(tmp_path, module, shape, slopes=slopes)
    found = verify_certificate(path, module)
    assert bounds.upper <= found.upper <= bounds.upper * (1 + 1e-6)
    assert found.lower == bounds.lower
    assert any("hashes" in line for line in found.checked)
    assert found.relied_on
    # float64 weights have the same values
    assert verify_certificate(path, copy.deepcopy(module).double()) == found


def test_no_value_can_be_changed(tmp_path):
    module = chain()
    _, path = saved(tmp_path, module, (4,))
    document = json.loads(path.read_text())
    values = [(p, v) for p, v in leaves(document) if p != ("format",)]
    assert len(values) > 60
    for place, value in values:
        number = isinstance(value, int | float)
        others = [value * (1 + 1e-6), value * (1 - 1e-6)] if number else [f"{value}x"]
        for other in others if value else [1e-6]:
            path.write_text(json.dumps(changed(document, place, other)))
            with pytest.raises(CertificateError, match="changed"):
                verify_certificate(path, module)


UNSAFE = {
    ("claim", "lower"): 1,
    ("claim", "upper"): -1,
    ("slopes", "constant"): -1,
    ("slopes", "before"): -1,
}


@pytest.mark.parametrize("name", ["chain", "residual", "convolution", "concatenation"])
@pytest.mark.parametrize("slopes", ["product", "eclipse"])
def test_a_forged_digest_does_not_help(name, slopes, tmp_path):
    make, shape = NETWORKS[name]
    module = make().eval()
    _, path = saved(tmp_path, module, shape, slopes=slopes)
    document = json.loads(path.read_text())
    unsafe = dict(UNSAFE)
    for place, operation in enumerate(document["operations"]):
        unsafe |= {("operations", place, key): -1 for key in ("sigma", "constant")}
        unsafe |= {("operations", place, "gains", i): -1 for i in range(len(operation["gains"]))}
        unsafe |= {("operations", place, "slopes", i): -1 for i in range(len(operation["slopes"]))}
    numbers = dict(leaves(document))
    for place, sign in unsafe.items():
        if not isinstance(numbers.get(place), float) or not numbers[place]:
            continue
        forged = changed(document, place, numbers[place] * (1 + sign * 1e-6))
        path.write_text(json.dumps(forged | {"digest": digest_of(forged)}))
        with pytest.raises(CertificateError, match=r"."):
            verify_certificate(path, module)


@pytest.mark.parametrize("norm", ["2", "1", "inf"])
@pytest.mark.parametrize("radius", [1e-3, 0.3, 30.0])
def test_a_bound_on_a_domain_is_verified(norm, radius, tmp_path):
    module = chain()
    bounds, path = saved(tmp_path, module, (4,), center=torch.ones(4), radius=radius, norm=norm)
    found = verify_certificate(path, module)
    assert bounds.upper <= found.upper <= bounds.upper * (1 + 1e-6)
    assert 0.0 < found.lower == bounds.lower
    document = json.loads(path.read_text())
    wider = copy.deepcopy(document)
    wider["claim"]["domain"]["half"] = [3 * half for half in wider["claim"]["domain"]["half"]]
    forgeries = [
        changed(document, ("claim", "upper"), document["claim"]["upper"] * (1 - 1e-6)),
        changed(document, ("claim", "lower"), document["claim"]["lower"] * (1 + 1e-6)),
        *([wider] if radius == 0.3 else []),
    ]
    for forged in forgeries:
        path.write_text(json.dumps(forged | {"digest": digest_of(forged)}))
        with pytest.raises(CertificateError, match=r"."):
            verify_certificate(path, module)


@pytest.mark.parametrize("options", [{}, {"box": (-1.0, 1.0)}], ids=str)
def test_a_euclidean_part_proves_no_bound_in_another_norm(options, tmp_path):
    """The first part is too large for a matrix, and its constant is smaller in the 2-norm."""
    wide = nn.Linear(50, 1100), nn.ReLU(), nn.Linear(1100, 4), nn.ReLU(), nn.Linear(4, 1)
    module = nn.Sequential(*wide).double()
    with torch.no_grad():
        for values in module.parameters():
            values.fill_(1e-3)
    bounds, path = saved(tmp_path, module, (50,), norm="inf", **options)
    truth = 50 * 1100 * 4 * 1e-9
    assert bounds.lower == pytest.approx(truth)
    document = json.loads(path.read_text())
    document["claim"] |= {"method": "intervals", "upper": 0.5 * truth, "lower": 0.0}
    document |= {"slopes": None, "witness": None}
    path.write_text(json.dumps(document | {"digest": digest_of(document)}))
    with pytest.raises(CertificateError, match="Euclidean, not of norm inf"):
        verify_certificate(path, module)


@pytest.mark.parametrize("norm", ["2", "1", "inf"])
def test_a_secant_of_rounding_errors_is_no_lower_bound(norm, tmp_path):
    """At 1e6, numbers of float64 have distances of 1.2e-10, which look like a slope of 2."""
    module = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        for values, value in zip(module.parameters(), (1.0, 0.0, 4.0, 1e6), strict=True):
            values.fill_(value)
    _, path = saved(tmp_path, module, (1,), norm=norm, slopes="product")
    document = json.loads(path.read_text())
    document["claim"] |= {"upper": 10.0, "lower": 1.9}
    document["witness"] = {"point": [0.0], "direction": [1.0], "half": 5.9e-11}
    path.write_text(json.dumps(document | {"digest": digest_of(document)}))
    with pytest.raises(CertificateError, match=r"lower 1.9 is above the slope 1\.0"):
        verify_certificate(path, module)


def test_a_ball_with_two_radii_is_no_domain(tmp_path):
    """The witness lies within the longer radius only."""
    module = nn.Linear(2, 1)
    _, path = saved(tmp_path, module, (2,), center=torch.zeros(2), radius=1.0)
    document = json.loads(path.read_text())
    document["claim"]["domain"]["half"] = [1.0, 1e-9]
    path.write_text(json.dumps(document | {"digest": digest_of(document)}))
    with pytest.raises(ValueError, match="a ball has one radius"):
        verify_certificate(path, module)


def test_multipliers_that_prove_less_are_refused(tmp_path):
    module = chain()
    _, path = saved(tmp_path, module, (4,))
    document = json.loads(path.read_text())
    for change in (lambda m: 0.3 * m, lambda m: -m, lambda _: 0.0):
        forged = copy.deepcopy(document)
        row = forged["slopes"]["multipliers"][1]
        row[:] = map(change, row)
        path.write_text(json.dumps(forged | {"digest": digest_of(forged)}))
        with pytest.raises(CertificateError, match="multipliers"):
            verify_certificate(path, module)


def test_a_certificate_of_another_network_is_refused(tmp_path):
    module = chain()
    _, path = saved(tmp_path, module, (4,))
    with pytest.raises(ValueError, match="other weights"):
        verify_certificate(path, chain())
    nudged = copy.deepcopy(module)
    with torch.no_grad():
        nudged[0].bias[0] += 1e-6
    with pytest.raises(ValueError, match="other weights"):
        verify_certificate(path, nudged)
    steeper = nn.Sequential(*module[:3], nn.LeakyReLU(0.2), module[4])
    with pytest.raises(ValueError, match="other operations"):
        verify_certificate(path, steeper)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"format": "sngan certificate 2"}', '{"format": 1', "\x00"]
)
def test_other_files_are_refused(text, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"certificate: expected"):
        verify_certificate(path, chain())
    with pytest.raises(ValueError, match=r"certificate: expected"):
        verify_certificate(tmp_path / "none.json", chain())


def test_a_network_without_a_bound_has_no_certificate(tmp_path):
    bounds = lipschitz_bounds(nn.LayerNorm(4), (4,), lower=False)
    with pytest.raises(ValueError, match=r"^upper: expected a finite bound"):
        bounds.save(tmp_path / "certificate.json")


@pytest.mark.parametrize("slopes", ["product", "eclipse", SDP])
def test_the_script_without_torch_agrees(slopes, tmp_path, capsys):
    module = chain()
    _, path = saved(tmp_path, module, (4,), slopes=slopes)
    weights = tmp_path / "weights.npz"
    np.savez(weights, **{key: value.numpy() for key, value in module.state_dict().items()})
    script = runpy.run_path(str(VERIFY))
    script["main"](path, weights)
    assert capsys.readouterr().out.startswith("verified: ")
    document = json.loads(path.read_text())
    upper = document["claim"]["upper"] * (1 - 1e-6)
    path.write_text(json.dumps(changed(document, ("claim", "upper"), upper)))
    with pytest.raises(SystemExit, match="changed"):
        script["main"](path, weights)
    forged = changed(document, ("claim", "upper"), upper)
    forged["digest"] = digest_of(forged)
    path.write_text(json.dumps(forged))
    with pytest.raises(SystemExit, match="larger"):
        script["main"](path, weights)
    path.write_text(json.dumps(document))
    np.savez(weights, **{key: value.numpy() for key, value in chain().state_dict().items()})
    with pytest.raises(SystemExit, match="weights"):
        script["main"](path, weights)


@pytest.mark.parametrize("width", [1, 30])
@pytest.mark.parametrize(
    ("activation", "known"),
    [(nn.ReLU(), True), (nn.Sigmoid(), True), (nn.ELU(), True), (nn.ELU(alpha=3.0), False)],
)
def test_the_script_without_torch_knows_some_slopes(activation, known, width, tmp_path, capsys):
    module = nn.Sequential(
        nn.Linear(2, width), activation, nn.Linear(width, 8), activation, nn.Linear(8, 1)
    )
    _, path = saved(tmp_path, module, (2,))
    weights = tmp_path / "weights.npz"
    np.savez(weights, **{key: value.numpy() for key, value in module.state_dict().items()})
    main = runpy.run_path(str(VERIFY))["main"]
    if known:
        main(path, weights)
        assert capsys.readouterr().out.startswith("verified: ")
    else:
        with pytest.raises(SystemExit, match="another slope"):
            main(path, weights)


def without(document, place):
    operations = [*document["operations"]]
    del operations[place]
    document = copy.deepcopy(document) | {"operations": operations, "slopes": None}
    document["claim"]["upper"] = float(np.prod([o["sigma"] for o in operations])) * (1 + 1e-9)
    return document


@pytest.mark.parametrize("slopes", ["product", "eclipse"])
def test_the_script_without_torch_accepts_no_forged_chain(slopes, tmp_path, capsys):
    """A person who forges a certificate computes its digest again."""
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    _, path = saved(tmp_path, module, (4,), slopes=slopes)
    weights = tmp_path / "weights.npz"
    np.savez(weights, **{key: value.numpy() for key, value in module.state_dict().items()})
    main, document = runpy.run_path(str(VERIFY))["main"], json.loads(path.read_text())
    main(path, weights)
    assert "0 (Linear of constant" in capsys.readouterr().out
    linear = [i for i, o in enumerate(document["operations"]) if o["kind"] == "Linear"]
    forgeries = [changed(document, ("claim", "upper"), -document["claim"]["upper"])]
    forgeries += [without(document, linear[-1])]
    forgeries += [changed(document, ("operations",), []) | {"slopes": None}]
    for place in linear:
        negative = ("operations", place, "sigma"), -document["operations"][place]["sigma"]
        forgeries.append(changed(changed(document, *negative), ("claim", "upper"), 0.0))
    first, last = (document["operations"][place] for place in (linear[0], linear[-1]))
    swapped = changed(document, ("operations", linear[0]), last)
    forgeries.append(changed(swapped, ("operations", linear[-1]), first))
    for forged in forgeries:
        path.write_text(json.dumps(forged | {"digest": digest_of(forged)}))
        with pytest.raises(SystemExit, match="not verified"):
            main(path, weights)


def test_interval_norms_are_tight():
    generator = np.random.default_rng(0)
    for shape in ((3, 5), (40, 20), (1, 1), (60, 60)):
        matrix = generator.standard_normal(shape) * 10.0 ** generator.integers(-80, 80)
        norm = np.linalg.norm(matrix, 2)
        assert norm_is_at_most(Interval.exact(matrix), norm * (1 + 1e-9))
        assert not norm_is_at_most(Interval.exact(matrix), norm * (1 - 1e-12))
        assert not norm_is_at_most(Interval.near(matrix, 1e-6), norm * (1 + 1e-9))


def test_interval_products_hold_the_exact_product():
    from fractions import Fraction

    generator = np.random.default_rng(1)
    left, right = generator.standard_normal((4, 30)), generator.standard_normal((30, 3))
    product = Interval.exact(left) @ Interval.exact(right)
    for i in range(4):
        for j in range(3):
            exact = sum(
                Fraction(a) * Fraction(b) for a, b in zip(left[i], right[:, j], strict=True)
            )
            gap = abs(exact - Fraction(product.mid[i, j]))
            assert gap <= Fraction(product.rad[i, j])
            assert product.rad[i, j] < 1e-12
