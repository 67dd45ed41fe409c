"""Certificates with a wrong kind of value in any place: one line, and never another error."""

import copy

import pytest
import torch
from torch import nn

from sngan.lipschitz import lipschitz_bounds, verify_certificate
from sngan.lipschitz.certificate.document import digest_of
from sngan.lipschitz.certificate.reading import CertificateError
from sngan.utils.plain import read_json, write_json

WRONG = (None, "x", 5, -1.0, [], {}, True, 10**400, [[1]])


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def test_every_value_is_checked(tmp_path):
    torch.manual_seed(0)
    network, path = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), tmp_path / "c.json"
    lipschitz_bounds(network, (2,), box=(-1.0, 1.0), samples=8, rounds=1, slopes="sdp").save(path)
    document = read_json(path)
    known = {("format",), ("digest",), ()}
    lines: list[str] = []
    for place in set(places(document)) - known:
        for value in WRONG:
            changed = copy.deepcopy(document)
            part = changed
            for key in place[:-1]:
                part = part[key]
            if part[place[-1]] == value:
                continue
            part[place[-1]] = value
            changed["digest"] = digest_of(changed)
            write_json(path, changed, indent=1)
            try:
                found = verify_certificate(path, network)
            except (ValueError, CertificateError) as error:
                lines.append(str(error))
            else:
                # versions are words, and a larger upper bound or other multipliers may be proved
                assert found.upper >= document["claim"]["upper"] or place[0] == "versions"
    assert len(lines) > 100
    assert not any("\n" in line for line in lines)


def test_a_network_with_nan_has_no_certificate(tmp_path):
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.fill_(float("nan"))
    bounds = lipschitz_bounds(network, (2,))
    with pytest.raises(ValueError, match=r"^upper: expected a finite bound, got"):
        bounds.save(tmp_path / "c.json")
