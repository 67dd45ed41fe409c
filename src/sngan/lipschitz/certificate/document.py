"""Document of a certificate: plain values for JSON, whose digest covers all of them."""

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import torch

from sngan.lipschitz.certificate.evidence import Evidence
from sngan.lipschitz.certificate.slope_check import checked_slack
from sngan.lipschitz.rounding import multiply_up
from sngan.lipschitz.slopes.bound import SlopeProof

FORMAT = "sngan certificate 1"
# the method of a bound by the interval matrix of the Jacobian
INTERVALS = "intervals"
# relative rooms for the rounding of another check
_ROOMS = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)


@dataclass(frozen=True)
class Claim:
    """The numbers of a result: both bounds, the product bound, and the method of the upper one."""

    lower: float
    upper: float
    product: float
    method: str


def document_of(claim: Claim, evidence: Evidence) -> dict[str, Any]:
    """Return the certificate of a result.

    A slope bound gets the least room for rounding with which its independent check succeeds; if
    none does, the certificate claims the product bound.
    """
    slopes = None if evidence.upper.slopes is None else _slopes(evidence.upper.slopes)
    factor = evidence.upper.factor
    upper, method = multiply_up(claim.product, factor), "product"
    if claim.method == INTERVALS:
        upper, method = claim.upper, claim.method
    elif slopes is not None:
        value = multiply_up(multiply_up(slopes["constant"], slopes["before"]), factor)
        if value < upper:
            upper, method = max(value, claim.upper), claim.method
    domain = evidence.domain
    secant = evidence.secant
    document: dict[str, Any] = {
        "format": FORMAT,
        "claim": {
            "input_shape": list(evidence.input_shape),
            "norm": evidence.norm,
            "domain": "all inputs"
            if domain is None
            else {
                "centre": domain.centre.tolist(),
                "half": domain.half.tolist(),
                "norm": domain.norm,
            },
            "lower": claim.lower if secant is not None else 0.0,
            "upper": upper,
            "method": method,
        },
        "network": {"weights": evidence.upper.weights, "graph": evidence.upper.graph},
        "operations": [_plain(asdict(operation)) for operation in evidence.upper.operations],
        "slopes": None
        if slopes is None or method in ("product", INTERVALS)
        else slopes | {"restricted": evidence.upper.restricted},
        "witness": None
        if secant is None
        else {
            "point": secant.point.flatten().tolist(),
            "direction": secant.direction.flatten().tolist(),
            "half": secant.half,
        },
        "versions": {
            "sngan": version("sngan"),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
    return document | {"digest": digest_of(document)}


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all values but the digest, as JSON with sorted keys, without spaces."""
    values = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def at_least_product(value: float, *factors: float) -> bool:
    """Whether a value is at least the product of the factors, in exact arithmetic."""
    return Fraction(value) >= math.prod(map(Fraction, factors))


def _slopes(proof: SlopeProof) -> dict[str, Any] | None:
    multipliers = [multiplier.tolist() for multiplier in proof.multipliers]
    if not all(math.isfinite(m) and m > 0 for row in multipliers for m in row):
        return None
    for room in _ROOMS:
        constant = proof.constant * (1 + room)
        slack = checked_slack(proof.stages, proof.multipliers, constant)
        if slack is not None:
            return {
                "before": proof.before,
                "constant": constant,
                "slack": slack,
                "multipliers": multipliers,
            }
    return None


def _plain(values: Any) -> Any:
    """Turn tuples into lists, as JSON does."""
    return json.loads(json.dumps(values, allow_nan=False))
