"""NaN guard: finds the first step whose loss or gradient norm was not finite."""

import torch
from torch import Tensor

from sngan.distributed import collectives
from sngan.engine.errors import TrainingError
from sngan.runs.layout import RunFolder


class NanGuard:
    """Keeps, on the device, the first step at which each term was infinite or not a number."""

    def __init__(self, device: torch.device) -> None:
        self._names: list[str] = []
        self._first_bad_step = torch.full((), torch.inf, device=device)

    def update(self, terms: dict[str, Tensor], step: int) -> None:
        """Check the terms of a step without waiting for the device."""
        self._names = list(terms)
        is_bad = ~torch.isfinite(torch.stack([term.float() for term in terms.values()]))
        earliest = self._first_bad_step.clamp(max=step)
        self._first_bad_step = torch.where(is_bad, earliest, self._first_bad_step)

    def first(self) -> tuple[int, str] | None:
        """Return the first step at which a term was not finite on any rank, and the term's name.

        All ranks must call this.
        """
        if not self._names:
            return None
        steps: list[float] = collectives.all_reduce_min(self._first_bad_step).tolist()
        step, name = min(zip(steps, self._names, strict=True), key=lambda item: item[0])
        return None if step == torch.inf else (int(step), name)


def not_finite_error(step: int, name: str, folder: RunFolder) -> TrainingError:
    """Return the error of a term that was not finite; its message names the last checkpoint.

    Parameters
    ----------
    step, name
        The step and the name of the term.
    folder
        The run folder.
    """
    return TrainingError(
        f"{name} was not finite at step {step}; "
        f"last good checkpoint: {folder.last_checkpoint}; "
        f"log: {folder.log}; try a smaller learning rate (--method.lr)"
    )
