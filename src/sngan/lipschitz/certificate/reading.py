"""Reading of certificate files: the fields, their kinds, and the format."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from sngan.lipschitz.certificate.document import FORMAT, digest_of
from sngan.lipschitz.certificate.operations import Operation, Rule
from sngan.lipschitz.local.domain import NORMS
from sngan.utils.checks import require
from sngan.utils.plain import read_json
from sngan.utils.text import first_line

_SECTIONS = (
    *("format", "claim", "network", "operations", "slopes", "witness", "versions", "digest"),
)

_MOST_VALUES = 2**40


class CertificateError(RuntimeError):
    """A certificate does not prove what it claims.

    Examples
    --------
    A file that was changed by hand does not agree with its digest:

    >>> from tempfile import TemporaryDirectory
    >>> from torch import nn
    >>> from sngan.lipschitz import lipschitz_bounds, verify_certificate
    >>> with TemporaryDirectory() as folder:
    ...     path, layer = Path(folder) / "certificate.json", nn.Linear(3, 1)
    ...     lipschitz_bounds(layer, (3,)).save(path)
    ...     _ = path.write_text(path.read_text().replace('"upper": ', '"upper": -'))
    ...     verify_certificate(path, layer)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    sngan.lipschitz.certificate.reading.CertificateError: the digest differs
    """


@dataclass(frozen=True)
class Certificate:
    """The values of a certificate file.

    ``slopes`` and ``witness`` are None where the certificate has no such proof.
    """

    claim: Mapping[str, Any]
    network: Mapping[str, str]
    operations: tuple[Operation, ...]
    slopes: Mapping[str, Any] | None
    witness: Mapping[str, Any] | None
    versions: Mapping[str, str]


def read_certificate(path: Path) -> Certificate:
    """Read a certificate and check its digest.

    Raises
    ------
    ValueError
        If the file is no certificate, or one of another format.
    CertificateError
        If its values do not agree with its digest.
    """
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        line = first_line(error)
        raise ValueError(f"certificate: expected a file of JSON, got {path} ({line})") from error
    return parse_certificate(document)


def parse_certificate(document: Any) -> Certificate:
    """Return the values of a document; the errors are those of :func:`read_certificate`."""
    found = document.get("format") if isinstance(document, dict) else None
    require(found == FORMAT, "certificate", expected=f"format {FORMAT!r}", got=repr(found))
    require(
        document.keys() == set(_SECTIONS),
        "certificate",
        expected=f"the fields {', '.join(_SECTIONS)}",
        got=", ".join(map(str, document)),
    )
    try:
        digest = digest_of(document)
    except (ValueError, TypeError):
        digest = ""
    if document["digest"] != digest:
        raise CertificateError("the certificate was changed: its values do not fit its digest")
    try:
        return _parsed(document)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        got = f"another one ({first_line(error)})"
        raise ValueError(f"certificate: expected the layout of {FORMAT!r}, got {got}") from error


def _parsed(document: Mapping[str, Any]) -> Certificate:
    claim = document["claim"]
    for key in ("lower", "upper"):
        _number(claim[key])
    if not all(type(size) is int and 0 < size < _MOST_VALUES for size in claim["input_shape"]):
        raise ValueError("input_shape holds no sizes")
    _check_texts(document)
    if claim["norm"] not in NORMS:
        raise ValueError("the norm is unknown")
    if claim["domain"] != "all inputs":
        _check_domain(claim["domain"])
    slopes, witness = document["slopes"], document["witness"]
    if slopes is not None:
        for key in ("before", "constant", "slack"):
            _number(slopes[key])
        for row in slopes["multipliers"]:
            _numbers(row)
    if witness is not None:
        _numbers(witness["point"])
        _numbers(witness["direction"])
        _number(witness["half"])
    return Certificate(
        claim=claim,
        network=document["network"],
        operations=tuple(_operation(values) for values in document["operations"]),
        slopes=slopes,
        witness=witness,
        versions=document["versions"],
    )


def _check_texts(document: Mapping[str, Any]) -> None:
    for section, keys in (("network", ("weights", "graph")), ("versions", ())):
        texts: dict[str, Any] = dict(document[section])
        if not all(isinstance(text, str) for text in (*texts.values(), *(texts[k] for k in keys))):
            raise ValueError(f"{section} holds no texts")


def _check_domain(domain: Mapping[str, Any]) -> None:
    for key in ("centre", "half"):
        _numbers(domain[key])
    if domain["norm"] not in NORMS or min(domain["half"]) <= 0:
        raise ValueError("the domain is no ball or box")
    if domain["norm"] != "inf" and len(set(domain["half"])) != 1:
        raise ValueError("a ball has one radius")


def _operation(values: Mapping[str, Any]) -> Operation:
    names = [field.name for field in fields(Operation)]
    if sorted(values) != sorted(names) or values["rule"] not in get_args(Rule):
        raise ValueError(f"an operation has the fields {', '.join(names)}")
    for key in ("sigma", "constant"):
        _number(values[key])
    for key in ("gains", "slopes"):
        _numbers(values[key])
    if not all(isinstance(place, int) for place in values["inputs"]):
        raise ValueError("inputs holds no integers")
    lists: dict[str, Any] = {key: tuple(values[key]) for key in ("inputs", "gains", "slopes")}
    whole: dict[str, Any] = {**values, **lists}
    return Operation(**whole)


def _numbers(values: Any) -> None:
    if not isinstance(values, list):
        raise TypeError(f"a list of numbers is {json.dumps(values)[:40]}")
    for value in values:  # pyright: ignore[reportUnknownVariableType]
        _number(value)


def _number(value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"a number is {json.dumps(value)[:40]}")
