"""Evidence of a bound: all that a certificate says beside the numbers of the result."""

from dataclasses import dataclass

from torch import Tensor

from sngan.lipschitz.certificate.hashing import graph_hash, weights_hash
from sngan.lipschitz.certificate.operations import Operation, operations_of
from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.slopes.bound import SlopeProof
from sngan.lipschitz.tracing.graph import Graph
from sngan.lipschitz.tracing.prepare import PreparedModule


@dataclass(frozen=True)
class Secant:
    """The proof of a lower bound: ``‖f(x + hv) − f(x − hv)‖/2h`` at a point x."""

    point: Tensor
    direction: Tensor
    half: float


@dataclass(frozen=True)
class UpperEvidence:
    """The proof of an upper bound.

    Attributes
    ----------
    weights, graph
        Hashes of the network.
    operations
        The operations with their constants, which prove the product bound.
    slopes
        The proof by slopes, if it gave the bound.
    restricted
        Whether that proof uses the slopes that inputs of the domain can reach.
    factor
        The factor from the Euclidean constant to that of the norm.
    """

    weights: str
    graph: str
    operations: tuple[Operation, ...]
    slopes: SlopeProof | None = None
    restricted: bool = False
    factor: float = 1.0


def upper_evidence(
    module: PreparedModule,
    graph: Graph,
    propagation: Propagation,
    *,
    slopes: SlopeProof | None = None,
) -> UpperEvidence:
    """Collect the proof of an upper bound of the prepared ``module``."""
    return UpperEvidence(
        weights_hash(module.module),
        graph_hash(graph),
        tuple(operations_of(graph, propagation)),
        slopes,
    )


@dataclass(frozen=True)
class Evidence:
    """The proofs of both bounds; ``domain`` is None for all inputs."""

    input_shape: tuple[int, ...]
    upper: UpperEvidence
    secant: Secant | None
    norm: str = "2"
    domain: Domain | None = None
