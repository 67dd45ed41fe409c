"""Noise of chosen seeds, and noise without rare values."""

import math
import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sngan.runs.networks import noise_from_seed
from sngan.utils.checks import require, require_count, require_number

_PART = re.compile(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?")
_MOST = 100_000


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as ``3,17,40-60``; a range has both of its ends.

    Raises
    ------
    ValueError
        If the text has another form, a range goes down, or there are over 100,000 seeds.

    Examples
    --------
    >>> parse_seeds("3,17,40-42")
    [3, 17, 40, 41, 42]
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = _PART.fullmatch(part)
        first, last = (0, -1) if found is None else (int(found[1]), int(found[2] or found[1]))
        expected = "numbers and ranges such as 3,17,40-60"
        require(first <= last, "seeds", expected=expected, got=repr(text))
        count = len(seeds) + last - first + 1
        require(count <= _MOST, "seeds", expected=f"at most {_MOST:,} seeds", got=f"{count:,}")
        seeds += range(first, last + 1)
    require_seeds(seeds)
    return seeds


def require_seeds(seeds: Sequence[int]) -> None:
    """Raise unless there are seeds, and each one is an integer from 0 to 2⁶³ − 1."""
    require(len(seeds) > 0, "seeds", expected="at least one seed", got="none")
    for seed in seeds:
        require_count(seed, "seeds", minimum=0)


def noise_of_seeds(seeds: Sequence[int], latent_dim: int) -> Iterator[Tensor]:
    """Yield noise ``(1, latent_dim)`` for each seed: the first row that the seed gives alone."""
    for seed in seeds:
        yield noise_from_seed(1, latent_dim, seed=seed)


def truncated(noise: Tensor, truncation: float | None) -> Tensor:
    """Return standard normal noise, moved into ``[-ψ, ψ]`` where it is truncated normal.

    Each number z becomes ``√2 · erf⁻¹(erf(z/√2) · erf(ψ/√2))``, which maps the normal distribution
    onto the truncated one in the order of z: so a seed keeps its picture and changes it little by
    little as ψ becomes smaller. Source: Brock et al. 2019, arXiv:1809.11096, section 3.1, who draw
    the numbers outside of the interval again.

    Parameters
    ----------
    noise
        Standard normal numbers of any shape.
    truncation
        ψ: smaller values give more typical and less varied samples; None changes nothing.

    Raises
    ------
    ValueError
        If ψ is not a finite number above 0.

    Examples
    --------
    >>> truncated(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]), 0.5)
    tensor([-0.4985, -0.3337,  0.0000,  0.3337,  0.4985])
    """
    if truncation is None:
        return noise
    require_number(truncation, "truncation", above=0.0)
    share = math.erf(truncation / math.sqrt(2)) * torch.erf(noise.double() / math.sqrt(2))
    moved = math.sqrt(2) * torch.erfinv(share)
    return moved.clamp(-truncation, truncation).to(noise.dtype)
