"""Counts of a fault harness: how much was tried, what was lost, and what was wrong in silence."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Faults of one kind.

    A problem is *lost* if a run does not reach the result of the undisturbed one, or says its
    error badly; it is *silent* if the result is wrong and nothing was said.
    """

    kind: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return self.lost + self.silent


def table(tallies: Iterable[Tally]) -> list[str]:
    """One line a kind, with the sums of its tallies."""
    sums: dict[str, list[int]] = {}
    for one in tallies:
        row = (one.tried, len(one.lost), len(one.silent))
        sums[one.kind] = [a + b for a, b in zip(sums.get(one.kind, (0, 0, 0)), row, strict=True)]
    heads = f"{'kind':<40}{'tried':>8}{'lost':>8}{'silent':>8}"
    return [heads, *(f"{kind:<40}{a:>8,}{b:>8,}{c:>8,}" for kind, (a, b, c) in sums.items())]
