r"""Class-pair constants: a bound of :math:`\mathrm{Lip}(f_i - f_j)` for each pair of outputs.

The difference of two outputs is steeper than ``√2·Lip(f)`` only in a bound, never in truth: ``f_i −
f_j`` is ``√2`` times a unit functional of f. So each method gives a valid constant, and the
smallest counts. There are three: ``√2·L``; the difference of two rows of the last affine map times
the constant of its input; and the quadratic form of the slope bound (``output_gram``), which
bounds all pairs at the cost of one.
"""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from sngan.lipschitz.certificate.intervals import Array, Interval
from sngan.lipschitz.certificate.slope_check import output_gram
from sngan.lipschitz.merging import affine_chains, dense_matrix
from sngan.lipschitz.propagation import propagate
from sngan.lipschitz.rounding import multiply_up, next_up
from sngan.lipschitz.slopes.bound import SlopeProof, prove_stages
from sngan.lipschitz.slopes.stages import Stages
from sngan.lipschitz.tracing.graph import Graph, trace
from sngan.lipschitz.tracing.prepare import PreparedModule, prepare
from sngan.lipschitz.upper import upper_bound
from sngan.utils.checks import require, require_one_of

_SLOPES = ("product", "eclipse", "sdp")
_ROUNDING = 1e-12
# pairs are bounded one by one if that takes about ten seconds at most
_WORK = 2e10


def class_constants(
    module: nn.Module, input_shape: tuple[int, ...], *, slopes: str = "eclipse"
) -> Tensor:
    r"""Return the bounds of :math:`\mathrm{Lip}(f_i - f_j)`, symmetric ``(classes, classes)``.

    The constants are those of the Euclidean norm, for the map of ``module.eval()`` in exact
    arithmetic. None is above √2 times the upper bound of :func:`sngan.lipschitz_bounds`. The
    diagonal is 0.

    Parameters
    ----------
    module
        A network with an output of shape ``(classes,)`` for each sample.
    input_shape
        The shape of one sample.
    slopes
        The proof, as for :func:`sngan.lipschitz_bounds`.

    Raises
    ------
    ValueError
        If the network has no finite bound or no vector as output.

    References
    ----------
    Tsuzuku, Sato, Sugiyama 2018, arXiv:1802.04034 (√2·L and the differences of rows).

    Examples
    --------
    >>> constants = class_constants(nn.Linear(3, 4, bias=False), (3,))
    >>> constants.shape, bool((constants == constants.T).all())
    (torch.Size([4, 4]), True)
    """
    require_one_of(slopes, "slopes", choices=_SLOPES)
    with torch.inference_mode(False), torch.enable_grad():
        prepared = prepare(module, input_shape)
        return _constants(prepared, slopes)


def _constants(module: PreparedModule, slopes: str) -> Tensor:
    with torch.no_grad():
        shape = tuple(module(module.example.clone()).shape)
    require(
        len(shape) == 2, "model", expected="an output (N, classes)", got=f"one of shape {shape}"
    )
    above = upper_bound(module, slopes=slopes, train_mode=frozenset())
    got = "; ".join(above.reasons)
    require(math.isfinite(above.value), "model", expected="a finite Lipschitz bound", got=got)
    most = multiply_up(above.value, next_up(math.sqrt(2.0)))
    found = [np.full((shape[1], shape[1]), most)]
    found += _by_rows(trace(module), shape[1])
    proof = None if above.evidence is None else above.evidence.slopes
    if proof is not None:
        found += _by_slopes(proof)
    smallest = np.minimum.reduce(found)
    smallest = np.maximum(smallest, smallest.T)
    np.fill_diagonal(smallest, 0.0)
    return torch.from_numpy(smallest)


def _by_rows(graph: Graph, classes: int) -> list[Array]:
    """Return ``‖w_i − w_j‖`` times the constant of the input of the last affine map, if any."""
    plain = propagate(graph, train_mode=frozenset())
    output = graph.nodes[-1].args[0]
    chain = next((c for c in affine_chains(graph, plain) if c[-1] is output), None)
    if chain is None:
        return []
    source = plain.sources[chain[0]]
    matrix = dense_matrix(graph, chain, source)
    if matrix is None or len(matrix) != classes:
        return []
    rows = matrix.cpu().numpy()
    sizes = np.linalg.norm(rows, axis=1)
    found = np.zeros((classes, classes))
    for place, row in enumerate(rows):
        found[place] = np.linalg.norm(rows - row, axis=1)
    product = math.prod(plain.local[node].sigma for node in chain)
    found = found * (1 + _ROUNDING) + _ROUNDING * (sizes[:, None] + sizes + product)
    before = plain.cumulative[source]
    return [np.nextafter(found * before, np.inf)]


def _by_slopes(proof: SlopeProof) -> list[Array]:
    """Return the constants by the quadratic form of the outputs, and pair by pair if that is cheap.

    The form depends on the multipliers: those of the whole network and those of the network without
    its last map are tried.
    """
    stages = proof.stages
    grams = [output_gram(stages, proof.multipliers, proof.constant)]
    eye = torch.eye(stages.last.shape[1], dtype=torch.float64)
    features = replace(stages, last=eye, last_size=eye)
    inner = prove_stages(features, optimized=False)
    if inner is not None:
        last = stages.last, stages.last_size
        grams.append(output_gram(features, inner.multipliers, inner.constant, last=last))
    found = [_pairs_of(*gram) for gram in grams if gram is not None]
    if _is_cheap(stages):
        found.append(_one_by_one(stages))
    return [np.nextafter(constants * proof.before, np.inf) for constants in found]


def _pairs_of(gram: Interval, exponent: int) -> Array:
    """Return ``√(G_ii + G_jj − 2G_ij)·2^exponent``, rounded up."""
    own = np.diagonal(gram.mid + gram.rad)
    square = own[:, None] + own - 2 * (gram.mid - gram.rad)
    sizes = own[:, None] + own + 2 * np.abs(gram.mid)
    roots = np.sqrt(np.clip(square + 1e-15 * sizes, 0.0, None)) * (1 + 1e-15)
    return np.nextafter(np.ldexp(roots, exponent), np.inf)


def _is_cheap(stages: Stages) -> bool:
    pairs = len(stages.last) * (len(stages.last) - 1) // 2
    work = sum(300.0 * max(stage.enter.shape) ** 3 for stage in stages.middle)
    return pairs * work <= _WORK


def _one_by_one(stages: Stages) -> Array:
    """Return the constant of each pair by multipliers of its own, in closed form."""
    classes = len(stages.last)
    found = np.full((classes, classes), math.inf)
    for i, j in combinations(range(classes), 2):
        row = stages.last[i] - stages.last[j]
        # the difference has the errors of both rows, and one rounding
        size = (1 + 1e-3) * (stages.last_size[i] + stages.last_size[j])
        proof = prove_stages(replace(stages, last=row[None], last_size=size[None]), optimized=False)
        if proof is not None:
            found[i, j] = found[j, i] = proof.constant
    return found
