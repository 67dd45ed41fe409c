"""Bad arguments of bounds, radii and certificates: one line that names the argument."""

import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from sngan.lipschitz import (
    CertificateError,
    certified_accuracy,
    certified_radius,
    class_constants,
    lipschitz_bounds,
    verify_certificate,
)

NAN, INF = math.nan, math.inf
NO_NUMBERS = ["1", None, [1.0], {}, 1j, True, NAN, INF, -INF, 10**400, ..., b"1"]
POINT = torch.zeros(2)


def refuses(name, function):
    """The call raises one line ``name: expected …, got …``."""
    with pytest.raises(ValueError, match=f"^{name}: expected .*, got .*") as error:
        function()
    assert "\n" not in str(error.value)
    assert re.search(r"got .", str(error.value))


def network():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))


def bounds(**arguments):
    return lipschitz_bounds(network(), (2,), lower=False, **arguments)


BALLS = [
    *({"center": POINT, "radius": bad} for bad in (*NO_NUMBERS[:1], *NO_NUMBERS[2:], 0, 0.0, -1.0)),
    {"center": POINT},
    {"center": POINT, "radius": torch.tensor([1.0, 1.0])},
]
CENTERS = [
    *(bad for bad in NO_NUMBERS if bad is not None),
    *(torch.zeros(3), torch.zeros(1, 2), torch.tensor([NAN, 0.0]), np.zeros(2), [0.0, 0.0]),
    torch.tensor([1j, 0j]),
]
BOXES = [
    *((bad, 1.0) for bad in NO_NUMBERS),
    *((0.0, bad) for bad in NO_NUMBERS),
    *((0.0, 0.0), (1.0, 0.0), (0.0,), (0.0, 1.0, 2.0), 1.0, "01", (), torch.zeros(2)),
    (torch.zeros(2), torch.tensor([1.0, 0.0])),
    (torch.zeros(2), torch.zeros(2)),
    (torch.zeros(2), torch.ones(3)),
    (torch.zeros(2), torch.tensor([INF, 1.0])),
    (torch.zeros(1, 2), torch.ones(1, 2)),
]


@pytest.mark.parametrize("arguments", BALLS, ids=str)
def test_a_ball_needs_a_centre_and_a_positive_radius(arguments):
    refuses("(radius|center)", lambda: bounds(**arguments))


@pytest.mark.parametrize("centre", CENTERS, ids=str)
def test_a_centre_is_a_point_of_the_inputs_shape(centre):
    refuses("center", lambda: bounds(center=centre, radius=1.0))


@pytest.mark.parametrize("name", ["box", "also_in_box"])
@pytest.mark.parametrize("box", BOXES, ids=str)
def test_a_box_is_a_pair_in_order(box, name):
    refuses(name, lambda: bounds(**{name: box}))


def test_a_ball_and_a_box_are_one_too_many():
    refuses("box", lambda: bounds(box=(0.0, 1.0), center=POINT, radius=1.0))
    refuses("center", lambda: bounds(radius=1.0))
    refuses("norm", lambda: bounds(norm="3"))
    refuses("norm", lambda: bounds(norm=2))
    refuses("slopes", lambda: bounds(slopes=["sdp"]))


LOGITS = [
    *("1", None, [1.0], torch.zeros(0, 2), torch.zeros(2, 0), torch.zeros(2, 2, 2)),
    *(torch.tensor(1.0), torch.tensor([[NAN, 0.0]]), torch.tensor([[INF, 0.0]])),
    torch.tensor([[1j, 0j]]),
]
CONSTANTS = [
    *("1", None, [1.0], NAN, -1.0, -INF, True, torch.zeros(3, 3), torch.tensor([[0.0, -1.0]] * 2)),
    torch.full((2, 2), NAN),
]


@pytest.mark.parametrize("logits", LOGITS, ids=str)
def test_logits_are_finite_numbers(logits):
    refuses("logits", lambda: certified_radius(logits, 1.0))


@pytest.mark.parametrize("constant", CONSTANTS, ids=str)
def test_a_constant_is_a_number_of_at_least_zero(constant):
    logits = torch.tensor([[1.0, 0.0]])
    refuses("lipschitz", lambda: certified_radius(logits, constant))
    refuses("rounding", lambda: certified_radius(logits, 1.0, rounding=constant))


def accuracy(**changed):
    given = {"model": network(), "x": torch.zeros(4, 2), "y": torch.zeros(4).long(), "radii": [0.1]}
    return certified_accuracy(**(given | changed))


SAMPLES = [
    *(torch.zeros(0, 2), torch.zeros(4), torch.zeros(4, 2).long(), [[0.0]], None, np.zeros((4, 2))),
    *(torch.full((4, 2), NAN), torch.full((4, 2), INF), torch.zeros(4, 3), torch.zeros(4, 2) * 1j),
]
LABELS = [
    *(torch.zeros(4), torch.zeros(3).long(), torch.zeros(4, 1).long(), torch.zeros(0).long()),
    *(torch.tensor([0, 0, 0, 2]), torch.tensor([0, 0, 0, -1]), [0, 0, 0, 0], None),
    *(torch.zeros(4, dtype=torch.bool), torch.zeros(4, dtype=torch.int32)),
]
RADII = [[], "0.1", 0.1, None, torch.zeros(0), torch.zeros(1, 1), torch.tensor(0.1), {0.1: 1}]
RADII += [[bad] for bad in (*NO_NUMBERS, -0.1, "0.1")]


@pytest.mark.parametrize("samples", SAMPLES, ids=str)
def test_samples_are_a_batch_that_the_model_takes(samples):
    refuses("x", lambda: accuracy(x=samples))


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_labels_are_integers_in_range(labels):
    refuses("y", lambda: accuracy(y=labels))


@pytest.mark.parametrize("radii", RADII, ids=str)
def test_radii_are_numbers(radii):
    refuses("radii", lambda: accuracy(radii=radii))


class Square(nn.Module):
    def forward(self, x):
        return x * x


@pytest.mark.parametrize("model", [Square(), nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))])
def test_a_model_without_a_bound_has_no_certificate(model, tmp_path):
    for call in (lambda: accuracy(model=model), lambda: class_constants(model, (2,))):
        refuses("model", call)
    refuses("upper", lambda: lipschitz_bounds(model, (2,), lower=False).save(tmp_path / "c.json"))
    assert not list(tmp_path.iterdir())
    refuses("model", lambda: accuracy(model="net"))
    refuses("attack_steps", lambda: accuracy(attack_steps=-1))
    refuses("attack_steps", lambda: accuracy(attack_steps=1.5))


@pytest.mark.parametrize("labels", [1, 2])
def test_a_model_with_logits_that_are_not_finite(labels):
    model = nn.Linear(2, labels)
    model.bias.data[0] = NAN
    refuses("(model|logits)", lambda: accuracy(model=model))


def test_a_certificate_of_another_model_or_version_or_no_json(tmp_path):
    path, model = tmp_path / "certificate.json", network()
    lipschitz_bounds(model, (2,), lower=False).save(path)
    text = path.read_text()
    for other in (network(), nn.Linear(2, 2), nn.Linear(3, 2)):
        refuses("network", lambda other=other: verify_certificate(path, other))
    bad = [text[: len(text) // 2], "", "[]", "3", '"text"', "null", "\x00", "{" * 5000, "NaN"]
    bad += [text.replace("sngan certificate 1", "sngan certificate 2"), "[" * 100_000]
    bad += [json.dumps({"format": "sngan certificate 1"}), text + text]
    for content in bad:
        path.write_text(content)
        refuses("certificate", lambda: verify_certificate(path, model))
    path.write_bytes(b"\xff\xfe\x00bad")
    refuses("certificate", lambda: verify_certificate(path, model))
    refuses("certificate", lambda: verify_certificate(tmp_path, model))
    refuses("certificate", lambda: verify_certificate(tmp_path / "absent.json", model))
    path.write_text(text.replace("operations", "operation"))
    refuses("certificate", lambda: verify_certificate(path, model))
    path.write_text(text.replace('"upper": ', '"upper": 1'))
    with pytest.raises(CertificateError):
        verify_certificate(path, model)
