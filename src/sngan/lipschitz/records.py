"""What a bound says: two numbers, what each layer contributes, and the point that attains one."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from sngan.utils.plain import finite
from sngan.utils.tables import text_table


@dataclass(frozen=True)
class LayerBound:
    """One operation of a network.

    Attributes
    ----------
    name, kind
        Its path in the module, or its name in the traced graph; the kind of layer or function.
    sigma
        A bound of its Lipschitz constant, of the Euclidean norm, for its own input.
    method
        How sigma is known: ``exact`` or ``upper_bound`` (operator norms), ``slope``,
        ``closed_form``, ``windows`` (max pooling), ``merged`` (the norm of the product of the
        affine operations that ``name`` joins), ``registered``, ``unknown`` (infinite).
    share
        Its part in the logarithm of the product bound, in [-1, 1]:
        ``e·log σ / Σ_j |e_j·log σ_j|`` with the elasticity ``e = ∂ log bound / ∂ log σ``. Negative
        where it lowers the bound. Layers without a finite sigma share an infinite bound equally.
    spectrum
        Singular values, largest first: of its weight as a matrix (output channels × the rest), or
        of the map of a merged chain; empty for other operations.
    """

    name: str
    kind: str
    sigma: float
    method: str
    share: float
    spectrum: tuple[float, ...] = ()


@dataclass(frozen=True)
class LipschitzBounds:
    """Bounds of ``sup ‖f(x) − f(y)‖/‖x − y‖``, of the map in eval mode, for single samples.

    Attributes
    ----------
    lower
        Norm of the Jacobian at ``witness``: the constant is at least this.
    upper
        The constant is at most this; infinite where no bound is known, for ``reasons``.
    method
        The proof of ``upper``: ``product``, ``eclipse`` or ``sdp``.
    product
        The bound from the layers alone.
    layers
        The operations in the order in which they run.
    witness
        A float64 point of shape ``input_shape``; any vector is one if ``lower`` is 0.
    reasons
        One sentence for each operation or trait of the module that makes ``upper`` infinite.
    notes
        Why ``lower`` is 0 although the module may not be constant; why the product counts although
        a bound by slopes was asked for, or which part of the network it covers.
    """

    lower: float
    upper: float
    method: str
    product: float
    layers: tuple[LayerBound, ...]
    witness: Tensor
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    def table(self) -> str:
        """Plain text: a line for each layer, the bounds, and the reasons."""
        head = ("layer", "kind", "sigma", "method", "share")
        rows = [
            (layer.name, layer.kind, f"{layer.sigma:.6g}", layer.method, f"{layer.share:+.1%}")
            for layer in self.layers
        ]
        lines = [text_table([head, *rows], right=[2, 4], rule=True)]
        lines.append(f"{self.lower:.6g} <= Lipschitz constant <= {self.upper:.6g} ({self.method})")
        lines += [f"infinite because of {reason}" for reason in self.reasons]
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Data for JSON, with ``null`` for what is infinite and ``witness`` as nested lists."""
        return finite(asdict(self) | {"witness": self.witness.tolist()})
