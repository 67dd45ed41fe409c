"""Results of a Lipschitz bound: both numbers, the share of each layer, and a witness."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sngan.lipschitz.certificate.document import Claim, document_of
from sngan.lipschitz.certificate.evidence import Evidence
from sngan.utils.plain import finite, write_json
from sngan.utils.tables import text_table


@dataclass(frozen=True)
class LayerBound:
    """The bound of one operation of a network.

    Attributes
    ----------
    name
        Its path in the module, or its name in the traced graph.
    kind
        The class of the layer, or the name of the function.
    sigma
        A bound of its Lipschitz constant for its own input, in the Euclidean norm.
    method
        How sigma is known: ``exact`` or ``upper_bound`` (operator norms), ``slope``,
        ``closed_form``, ``windows`` (max pooling), ``merged`` (the norm of the product of the
        affine operations that ``name`` joins), ``registered``, ``unknown`` (infinite).
    share
        Its part in the logarithm of the product bound, in [-1, 1]:
        ``e·log σ / Σ_j |e_j·log σ_j|`` with the elasticity ``e = ∂ log bound / ∂ log σ``. It is
        negative where the operation lowers the bound. Layers without a finite sigma share an
        infinite bound equally.
    spectrum
        Singular values, largest first: of its weight as a matrix (output channels × the rest), or
        of the map of a merged chain. It is empty for other operations.

    Examples
    --------
    >>> from sngan.lipschitz import lipschitz_bounds
    >>> from torch import nn
    >>> network = nn.Sequential(nn.LeakyReLU(3.0), nn.Flatten(), nn.ReLU())
    >>> [(layer.name, layer.sigma) for layer in lipschitz_bounds(network, (4,), lower=False).layers]
    [('0', 3.0), ('2', 1.0)]
    """

    name: str
    kind: str
    sigma: float
    method: str
    share: float
    spectrum: tuple[float, ...] = ()


@dataclass(frozen=True)
class LipschitzBounds:
    """Bounds of ``sup ‖f(x) − f(y)‖/‖x − y‖`` for the map in eval mode on single samples.

    Attributes
    ----------
    lower
        Norm of the Jacobian at ``witness``: the constant is at least this.
    upper
        The constant is at most this. It is infinite where no bound is known; see ``reasons``.
    method
        The proof of ``upper``: ``product``, ``eclipse`` or ``sdp``.
    product
        The bound that the layers' constants alone give.
    layers
        The operations in the order in which they run.
    witness
        A float64 point of shape ``input_shape``; an arbitrary point if ``lower`` is 0.
    reasons
        One sentence for each operation or trait of the module that makes ``upper`` infinite.
    notes
        Sentences about the limits of the bounds. They say why there is no lower bound, which
        part of the network a bound by slopes covers, or why that bound is not used.
    upper_in_box
        The Euclidean upper bound for inputs in the box of ``also_in_box``; for the critic of an
        image run, images with pixels in [−1, 1]. None if no such box was given.
    evidence
        The proofs, for :meth:`save`; None if ``upper`` is infinite.

    Examples
    --------
    >>> from sngan.lipschitz import lipschitz_bounds
    >>> from torch import nn
    >>> bounds = lipschitz_bounds(nn.Sequential(nn.LeakyReLU(3.0), nn.ReLU()), (4,), lower=False)
    >>> print(bounds.table().splitlines()[2])
    0      LeakyReLU      3  slope   +100.0%
    >>> bounds.to_dict()["product"]
    3.0
    """

    lower: float
    upper: float
    method: str
    product: float
    layers: tuple[LayerBound, ...]
    witness: Tensor
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    upper_in_box: float | None = None
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    def save(self, path: str | Path) -> None:
        """Write a certificate: a JSON file of the bounds with their proofs.

        ``sngan verify FILE MODEL`` checks it again, and ``docs/certificates.md`` describes it. The
        upper bound in the file may be larger than ``upper`` by rounding, so that it passes a check
        by interval arithmetic.

        Raises
        ------
        ValueError
            If the upper bound is infinite.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from sngan.lipschitz import lipschitz_bounds
        >>> from torch import nn
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "certificate.json"
        ...     lipschitz_bounds(nn.Linear(3, 1), (3,)).save(path)
        ...     path.read_text().split()[1:4]
        ['"format":', '"sngan', 'certificate']
        """
        if self.evidence is None:
            got = f"an infinite one because of {'; '.join(self.reasons)}"
            raise ValueError(f"upper: expected a finite bound, got {got}")
        claim = Claim(self.lower, self.upper, self.product, self.method)
        write_json(Path(path), document_of(claim, self.evidence), indent=1)

    def table(self) -> str:
        """Return plain text: a line for each layer, the bounds, and the reasons."""
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
        """Return data for JSON, with None for infinite numbers and ``witness`` as nested lists."""
        plain = asdict(replace(self, evidence=None))
        del plain["evidence"]
        return finite(plain | {"witness": self.witness.tolist()})
