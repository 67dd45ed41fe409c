"""Entropic regularization: a faster approximation, bracketed all the same."""

import numpy as np
from scipy.sparse import csr_array

from sngan._checks import require_count, require_number
from sngan.transport._points import Values, problem, require_memory
from sngan.transport.certificates import WassersteinResult, certify_matrix

# the costs, and what the log-domain Sinkhorn of POT held beside them when measured: 7.1
_COPIES = 9


def entropic_wasserstein(
    x: Values,
    y: Values,
    *,
    regularization: float,
    p: int = 1,
    weights_x: Values | None = None,
    weights_y: Values | None = None,
    max_iterations: int = 1000,
) -> WassersteinResult:
    """Bracket ``W_p`` by Sinkhorn iterations in the log domain.

    They approach the plan of ``min_P Σ P c + ε Σ P log P`` (Cuturi 2013, arXiv:1306.0895). Its
    plan is rounded to a feasible one above (Altschuler, Weed, Rigollet 2017, arXiv:1705.09634) and
    its potentials, by c-transforms, to feasible ones below, so the bracket holds for any ``ε`` and
    any number of iterations; ``distance`` is the upper value, that of the rounded plan.

    Parameters
    ----------
    x, y, p, weights_x, weights_y
        As in :func:`sngan.transport.wasserstein`.
    regularization
        ``ε > 0`` in units of the cost, ``W_p^p``: small is exact and slow.
    max_iterations
        Sinkhorn iterations, at most.

    Raises
    ------
    ValueError
        What :func:`sngan.transport.wasserstein` raises; ``regularization`` is not positive.
    """
    clouds = problem(x, y, p, weights_x, weights_y)
    require_number(regularization, "regularization", above=0.0)
    require_count(max_iterations, "max_iterations")
    require_memory(clouds, _COPIES, instead="sliced_wasserstein or minibatch_wasserstein")
    costs = clouds.costs()
    import ot

    with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
        plan, log = ot.sinkhorn(
            clouds.weights_x,
            clouds.weights_y,
            costs,
            regularization,
            method="sinkhorn_log",
            numItermax=max_iterations,
            log=True,
            warn=False,
        )
    start = regularization * np.asarray(log["log_u"])
    return certify_matrix(clouds, costs, csr_array(plan), [start])
