"""Verification of a certificate against a network, without the search that made it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from sngan.lipschitz.certificate.document import INTERVALS, at_least_product
from sngan.lipschitz.certificate.hashing import graph_hash, weights_hash
from sngan.lipschitz.certificate.intervals import Interval, norm_is_at_most
from sngan.lipschitz.certificate.operations import Operation, operations_of, unproved_constant
from sngan.lipschitz.certificate.reading import Certificate, CertificateError, read_certificate
from sngan.lipschitz.certificate.secant import secant_of
from sngan.lipschitz.certificate.slope_check import proves
from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.local.restriction import restrict
from sngan.lipschitz.local.splitting import has_interval_bound, interval_bound
from sngan.lipschitz.local.upper import norm_factor
from sngan.lipschitz.merging import affine_chains, dense_matrix, merge_affine_chains
from sngan.lipschitz.propagation import propagate
from sngan.lipschitz.slopes.extraction import ExtractedStages, extract_stages
from sngan.lipschitz.slopes.linear_parts import NotCoveredError
from sngan.lipschitz.slopes.stages import EXACTNESS, Stages
from sngan.lipschitz.tracing.graph import Graph, Node, reproduces, trace
from sngan.lipschitz.tracing.prepare import PreparedModule, prepare
from sngan.utils.text import first_line

# another machine computes the norms of layers with other rounding errors
_SAME = 1e-9
# a slope of a secant has rounding errors, and the lower bound differs from it by 1e-7 at most
_SECANT = 3e-7
_NORMS = ("exact", "upper_bound", "merged")
_MERGED_ROUNDING = 1e-12
_RANGES = "sngan's ranges of the slopes on the domain"


@dataclass(frozen=True)
class Verification:
    """The result of a check that succeeded.

    Attributes
    ----------
    lower, upper
        The bounds that the certificate claims.
    checked
        A sentence for each fact that was proved again.
    relied_on
        A sentence for each fact that was taken from sngan's own rules, and not proved again.

    Examples
    --------
    >>> found = Verification(0.5, 1.0, checked=("the product",), relied_on=())
    >>> print(found.text())
    0.5 <= Lipschitz constant <= 1: verified
    checked: the product
    """

    lower: float
    upper: float
    checked: tuple[str, ...]
    relied_on: tuple[str, ...]

    def text(self) -> str:
        """Return plain text, one sentence a line."""
        lines = [f"{self.lower:.9g} <= Lipschitz constant <= {self.upper:.9g}: verified"]
        lines += [f"checked: {line}" for line in self.checked]
        lines += [f"relied on: {line}" for line in self.relied_on]
        return "\n".join(lines)


def verify_certificate(path: str | Path, module: nn.Module) -> Verification:
    """Check a certificate of :meth:`LipschitzBounds.save` against a network.

    The search is not run again. The product bound is multiplied out in exact fractions, the norms
    of layers of up to 512 values and the multipliers of a slope bound are checked by a Cholesky
    factorization of interval matrices, and the lower bound by a secant.

    Raises
    ------
    ValueError
        If the file is no certificate, has another format, or belongs to another network.
    CertificateError
        If the certificate does not prove what it claims.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sngan.lipschitz import lipschitz_bounds
    >>> critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "certificate.json"
    ...     bounds = lipschitz_bounds(critic, (2,))
    ...     bounds.save(path)
    ...     verified = verify_certificate(path, critic)
    >>> verified.lower == bounds.lower, abs(verified.upper / bounds.upper - 1) < 1e-6
    (True, True)
    """
    certificate = read_certificate(Path(path))
    with torch.inference_mode(False):
        return _Verifier(certificate, module).run()


class _Verifier:
    def __init__(self, certificate: Certificate, module: nn.Module) -> None:
        self.certificate = certificate
        self.checked: list[str] = []
        self.relied_on: list[str] = []
        self.module = self._prepared(module)
        self.graph = self._traced()
        self.plain = propagate(self.graph, train_mode=frozenset())
        known = merge_affine_chains(self.graph, self.plain)
        self.merged = propagate(self.graph, train_mode=frozenset(), known=known)

    def run(self) -> Verification:
        self._check_operations()
        self._check_norms()
        self._check_upper()
        self._check_lower()
        claim = self.certificate.claim
        return Verification(
            claim["lower"], claim["upper"], tuple(self.checked), tuple(self.relied_on)
        )

    def _prepared(self, module: nn.Module) -> PreparedModule:
        shape = tuple(self.certificate.claim["input_shape"])
        try:
            prepared = prepare(module, shape)
        except ValueError as error:
            got = f"another one ({first_line(error)})"
            raise ValueError(f"network: expected one for inputs of {shape}, got {got}") from error
        if weights_hash(prepared.module) != self.certificate.network["weights"]:
            raise ValueError(
                "network: expected the network of the certificate, got one with other weights"
            )
        return prepared

    def _traced(self) -> Graph:
        try:
            graph = trace(self.module)
        except Exception as error:
            # the module's own code may raise any error under the tracer
            line = first_line(error)
            raise ValueError(
                f"network: expected a network that can be traced, got {line}"
            ) from error
        if graph_hash(graph) != self.certificate.network["graph"]:
            made = ", ".join(f"{k} {v}" for k, v in sorted(self.certificate.versions.items()))
            raise ValueError(
                "network: expected the network of the certificate, got one with other operations, "
                f"or another version of torch records other ones (the certificate: {made})"
            )
        if not reproduces(graph, self.module):
            raise CertificateError("the network computes something else than its operations")
        self.checked.append("the hashes of the weights and of the operations")
        self.relied_on.append(
            "sngan's record of the network's operations, which gave the network's outputs on noise"
        )
        return graph

    def _check_operations(self) -> None:
        """Compare the operations with those of the network, and multiply their constants out."""
        claimed = self.certificate.operations
        found = operations_of(self.graph, self.merged)
        if len(claimed) != len(found):
            raise CertificateError("it lists other operations than the network has")
        for ours, theirs in zip(found, claimed, strict=True):
            if replace(ours, sigma=theirs.sigma, constant=theirs.constant) != theirs:
                raise CertificateError(f"{theirs.name}: it is listed as another operation")
            if not theirs.sigma >= ours.sigma * (1 - _SAME):
                raise CertificateError(
                    f"{theirs.name}: sigma {theirs.sigma!r} is below {ours.sigma!r}"
                )
        wrong = unproved_constant(claimed)
        if wrong is not None:
            raise CertificateError(f"{wrong}: its constant does not follow from those before it")
        self.checked.append("the product of the constants, in exact fractions")

    def _check_norms(self) -> None:
        """Prove the norms of layers again where their matrices are small."""
        proved: list[str] = []
        rules, norms = dict[str, None](), list[str]()
        nodes = list(self.merged.cumulative)
        for node, operation in zip(nodes, self.certificate.operations, strict=True):
            if operation.method not in _NORMS:
                if operation.rule == "operation" and operation.method != "absorbed":
                    rules[operation.kind] = None
                continue
            matrix = self._matrix(node, operation)
            if matrix is not None and norm_is_at_most(matrix, operation.sigma):
                proved.append(operation.name)
            else:
                norms.append(operation.name)
        if proved:
            self.checked.append(f"the norms of {_listed(proved)}, by interval arithmetic")
        if norms:
            self.relied_on.append(
                f"sngan's norms of {_listed(norms)}, which were computed again to 9 digits"
            )
        if rules:
            self.relied_on.append(f"sngan's constants of {_listed([*rules])}")

    def _matrix(self, node: Node, operation: Operation) -> Interval | None:
        """Return the dense matrix of an affine operation, or of the chain that ends there."""
        chain, room = (node,), EXACTNESS
        if operation.method == "merged":
            chains = affine_chains(self.graph, self.plain)
            chain = next(chain for chain in chains if node in chain)
            chain = chain[: chain.index(node) + 1]
        dense = dense_matrix(self.graph, chain, self.plain.sources[chain[0]])
        if dense is None:
            return None
        found = Interval.near(dense.cpu().numpy(), room)
        if operation.method != "merged":
            return found
        product = 1.0
        for part in chain:
            product *= self.plain.local[part].sigma
        return Interval(found.mid, found.rad + _MERGED_ROUNDING * product)

    def _check_upper(self) -> None:
        claim, slopes = self.certificate.claim, self.certificate.slopes
        upper, factor = claim["upper"], norm_factor(self.graph, claim["norm"])
        if claim["method"] == INTERVALS:
            self._check_intervals(upper)
            return
        if slopes is None:
            if claim["method"] != "product":
                raise CertificateError("it names a slope bound, but has no multipliers")
            if not at_least_product(upper, self.certificate.operations[-1].constant, factor):
                raise CertificateError("upper is below the product of the constants")
            return
        if not at_least_product(upper, slopes["constant"], slopes["before"], factor):
            raise CertificateError("upper is below slopes.constant · slopes.before")
        stages, before = self._stages(restricted=slopes["restricted"])
        if not slopes["before"] >= before * (1 - _SAME):
            raise CertificateError(f"slopes.before is below {before!r}")
        multipliers = [torch.tensor(row, dtype=torch.float64) for row in slopes["multipliers"]]
        if not proves(stages, multipliers, slopes["slack"], slopes["constant"]):
            raise CertificateError("its multipliers do not prove slopes.constant")
        self.checked.append(
            "the multipliers of the slope bound, by Cholesky factorizations of interval matrices"
        )
        self.relied_on.append("sngan's matrices between the activations, and their slopes")

    def _check_intervals(self, upper: float) -> None:
        extracted, domain, norm = self._extracted(), self._domain(), self.certificate.claim["norm"]
        if not has_interval_bound(self.graph, extracted, norm):
            raise CertificateError(f"its bound does not apply: it is Euclidean, not of norm {norm}")
        found = interval_bound(self.graph, self.plain, extracted, domain, norm) * extracted.before
        if not upper >= found * (1 - _SAME):
            raise CertificateError(f"upper is below the norm of the interval Jacobian, {found!r}")
        self.relied_on.append("sngan's interval matrix of the Jacobian, computed again to 9 digits")
        if domain is not None:
            self.relied_on.append(_RANGES)

    def _extracted(self) -> ExtractedStages:
        try:
            return extract_stages(self.graph, self.plain, affine=True)
        except NotCoveredError as error:
            raise CertificateError(f"its bound does not apply: {error}") from error

    def _stages(self, *, restricted: bool) -> tuple[Stages, float]:
        """Return the stages of the network and the constant before them."""
        found, domain = self._extracted(), self._domain()
        if domain is None or not restricted:
            return found.stages, found.before
        self.relied_on.append(_RANGES)
        return restrict(self.graph, self.plain, found, domain).stages, found.before

    def _domain(self) -> Domain | None:
        given = self.certificate.claim["domain"]
        if given == "all inputs":
            return None
        centre, half = (torch.tensor(given[key], dtype=torch.float64) for key in ("centre", "half"))
        if not len(centre) == len(half) == self.module.example.numel():
            raise CertificateError("its domain has another number of inputs")
        return Domain(centre, half, given["norm"])

    def _check_lower(self) -> None:
        claim, witness = self.certificate.claim, self.certificate.witness
        lower = claim["lower"]
        if witness is None:
            if lower != 0.0:
                raise CertificateError("it claims a lower bound without a witness")
            return
        slope = secant_of(self.module, witness, norm=claim["norm"], domain=self._domain())
        if not 0.0 <= lower <= slope * (1 + _SECANT):
            raise CertificateError(f"lower {lower!r} is above the slope {slope!r} of the witness")
        if not lower <= claim["upper"]:
            raise CertificateError("lower is above upper")
        self.checked.append("the lower bound, by a secant in float64")


def _listed(names: list[str]) -> str:
    return ", ".join(names)
