"""Audit of a Wasserstein critic: the share of its slope that it uses, beside the exact distance."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from sngan.transport.critic import critic_bound
from sngan.transport.exact import wasserstein


@dataclass(frozen=True)
class CriticAudit:
    """The ``W_1`` between two samples that a critic proves, beside the exact one.

    Attributes
    ----------
    bound
        The critic's lower bound ``(E f(x) − E f(y))/L``, in units of the samples.
    lower, upper
        The proved bracket of ``W_1`` between the two samples, from the exact plan and potentials.
    share
        ``bound/upper``: the share of its slope that the critic uses where it counts. 1 is the best
        critic of these samples, and below 0 it scores the wrong way round. 0 if ``W_1`` is 0.
    lipschitz
        The proved constant L, in score per unit of sample.
    n_x, n_y
        The sizes of both samples.

    Examples
    --------
    >>> import torch
    >>> from sngan.transport import audit_critic
    >>> x, y = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    >>> found = audit_critic(lambda points: points[:, 0], x, y, lipschitz=2.0)
    >>> round(found.bound, 6), round(found.upper, 6), round(found.share, 6)
    (1.0, 2.0, 0.5)
    """

    bound: float
    lower: float
    upper: float
    share: float
    lipschitz: float
    n_x: int
    n_y: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """Return one sentence for people; a negative bound proves nothing and is shown as 0."""
        bound, share = max(0.0, self.bound), max(0.0, self.share)
        return (
            f"critic: it proves W1 ≥ {bound:.4g} between {self.n_x} and {self.n_y} samples, "
            f"and W1 is {self.upper:.4g}: it uses {100 * share:.1f} % of its slope"
        )


def audit_critic(
    critic: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, lipschitz: float
) -> CriticAudit:
    """Compare the bound of a critic with the exact ``W_1`` between the same samples.

    By duality, ``(E f(x) − E f(y))/L ≤ W_1`` for every f with the constant L, and the optimal f
    has equality. The quotient tells how far a critic is from the optimum, whether because it has
    not learned enough, or because L is larger than its slope where the samples are. Images are
    compared pixel by pixel, as vectors.

    Source: Villani 2009, Optimal Transport, remark 6.5.

    Parameters
    ----------
    critic, lipschitz
        As for :func:`critic_bound`.
    x, y
        Samples ``(n, ...)`` and ``(m, ...)``; the exact distance takes memory for n·m numbers.

    Raises
    ------
    ValueError
        If :func:`critic_bound` or :func:`wasserstein` would raise it.

    Examples
    --------
    >>> import torch
    >>> from sngan.transport import audit_critic
    >>> x, y = torch.tensor([[3.0], [4.0]]), torch.tensor([[0.0], [1.0]])
    >>> round(audit_critic(lambda points: 2 * points[:, 0], x, y, 4.0).share, 6)
    0.5
    """
    bound = critic_bound(critic, x, y, lipschitz)
    found = wasserstein(x.flatten(1), y.flatten(1))
    share = bound / found.upper if found.upper > 0 else 0.0
    return CriticAudit(bound, found.lower, found.upper, share, lipschitz, len(x), len(y))
