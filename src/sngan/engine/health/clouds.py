"""Figures of clouds of samples: spread, reach, duplicates, energy distance, nearest neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

# two samples are duplicates if they are closer than this part of the usual distance
_CLOSE = 0.1


def share_above(left: Tensor, right: Tensor) -> Tensor:
    """Return how often a value of ``left`` is above one of ``right``; an equal pair counts half.

    This is the area under the ROC curve, U/(nm) of Mann and Whitney 1947: 1/2 for values of one
    distribution, 1 if all of ``left`` are above all of ``right``.
    """
    difference = left[:, None] - right
    return ((difference > 0).float() + (difference == 0).float() / 2).mean()


def nearest(samples: Tensor, parts: Sequence[Tensor], *, leave_out_first: bool = False) -> Tensor:
    """Return the distance from each sample to the nearest row of all parts.

    Parameters
    ----------
    samples
        The samples ``(n, …)``.
    parts
        The rows that are searched, in parts that fit into memory.
    leave_out_first
        Whether the samples are the first rows of the parts, so that each one leaves out itself.
    """
    x = samples.flatten(1)
    found = torch.full((len(x),), torch.inf, device=x.device)
    start = 0
    for part in parts:
        distances = torch.cdist(x, part.flatten(1))
        if leave_out_first:
            own = torch.arange(len(x), device=x.device)[:, None] - start
            columns = torch.arange(len(part), device=x.device)
            distances = distances.masked_fill(own == columns, torch.inf)
        found = torch.minimum(found, distances.min(dim=1).values)
        start += len(part)
    return found


@dataclass
class Reference:
    """Real samples, and as many other real ones, against which generated samples are compared.

    Parameters
    ----------
    real, others
        Two disjoint groups of real samples.
    """

    real: Tensor
    others: Tensor
    _spread: Tensor = field(init=False)
    _reach: Tensor = field(init=False)
    _usual: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.real = self.real.flatten(1)
        own = torch.cdist(self.real, self.real)
        self._spread = _mean_apart(own)
        self._usual = _nearest_apart(own).median()
        others = self.others.flatten(1)
        self._reach = _reached(torch.cdist(others, self.real)) if len(others) else own.new_ones(())

    def compare(self, generated: Tensor) -> dict[str, Tensor]:
        r"""Return figures of generated samples ``(n, …)``, as tensors on the device.

        Returns
        -------
        dict
            ``spread``: the mean distance of two generated samples over that of two real ones.
            ``reach``: the number of real samples that are the nearest one of some generated sample,
            over the same number for other real samples. ``duplicates``: the share of generated
            samples with another one closer than a tenth of the usual distance between neighbours.
            ``energy``: the energy distance :math:`2E|x-y| - E|x-x'| - E|y-y'|` of Székely and
            Rizzo 2013, over :math:`E|y-y'|` of real samples; it is near 0 for equal distributions.
        """
        x, count = generated.flatten(1), len(self.real)
        own, across = torch.cdist(x, x), torch.cdist(x, self.real)
        spread = _mean_apart(own)
        # distances to neighbours depend on the number of samples, so these numbers must agree
        neighbours = _nearest_apart(own[:count, :count])
        return {
            "spread": spread / self._spread,
            "reach": _reached(across[:count]) / self._reach,
            "duplicates": (neighbours < _CLOSE * self._usual).float().mean(),
            "energy": (2 * across.mean() - spread - self._spread) / self._spread,
        }


def _mean_apart(distances: Tensor) -> Tensor:
    """Return the mean distance of two different rows."""
    count = len(distances)
    return distances.sum() / max(count * (count - 1), 1)


def _nearest_apart(distances: Tensor) -> Tensor:
    """Return the distance from each row to the nearest other one."""
    return distances.clone().fill_diagonal_(torch.inf).min(dim=1).values


def _reached(distances: Tensor) -> Tensor:
    """Return how many columns are the nearest one of some row."""
    counts = torch.zeros(distances.shape[1], device=distances.device)
    counts.index_fill_(0, distances.argmin(dim=1), 1.0)
    return counts.sum()
