"""Optimal transport: exact distances with a proof, bounds for large samples, and pictures.

Distances are written ``W_p`` and have the units of the points. Costs, potentials and ``gap`` belong
to ``W_p^p = min_P Σ P(i, j) |x_i − y_j|^p`` and have those units to the power p.

Examples
--------
>>> from sngan import transport
>>> found = transport.wasserstein([[0.0], [1.0]], [[2.0], [3.0]])
>>> found.distance, found.gap < 1e-12
(2.0, True)
"""

from sngan.transport.audit import CriticAudit as CriticAudit
from sngan.transport.audit import audit_critic as audit_critic
from sngan.transport.bracket import Bracket as Bracket
from sngan.transport.bracket import wasserstein_bracket as wasserstein_bracket
from sngan.transport.certificates import WassersteinResult as WassersteinResult
from sngan.transport.critic import critic_bound as critic_bound
from sngan.transport.entropic import entropic_wasserstein as entropic_wasserstein
from sngan.transport.exact import wasserstein as wasserstein
from sngan.transport.landscape import Landscape as Landscape
from sngan.transport.landscape import landscape as landscape
from sngan.transport.linear_program import LinearProgramResult as LinearProgramResult
from sngan.transport.linear_program import dual_linear_program as dual_linear_program
from sngan.transport.minibatch import MinibatchResult as MinibatchResult
from sngan.transport.minibatch import minibatch_wasserstein as minibatch_wasserstein
from sngan.transport.plans import explain as explain
from sngan.transport.plans import moves as moves
from sngan.transport.potentials import optimal_potential as optimal_potential
from sngan.transport.potentials import plot_potentials as plot_potentials
from sngan.transport.sliced import SlicedResult as SlicedResult
from sngan.transport.sliced import sliced_wasserstein as sliced_wasserstein
from sngan.transport.two_samples import TwoSamples as TwoSamples
from sngan.transport.two_samples import compare_samples as compare_samples

__all__ = [
    "Bracket",
    "CriticAudit",
    "Landscape",
    "LinearProgramResult",
    "MinibatchResult",
    "SlicedResult",
    "TwoSamples",
    "WassersteinResult",
    "audit_critic",
    "compare_samples",
    "critic_bound",
    "dual_linear_program",
    "entropic_wasserstein",
    "explain",
    "landscape",
    "minibatch_wasserstein",
    "moves",
    "optimal_potential",
    "plot_potentials",
    "sliced_wasserstein",
    "wasserstein",
    "wasserstein_bracket",
]
