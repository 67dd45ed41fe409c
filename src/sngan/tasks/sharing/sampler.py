"""Sampler: the generator of a run as one function of tensors, and the check of an export of it."""

import logging
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sngan.runs.model_file import settings_to_share
from sngan.runs.networks import noise_from_seed
from sngan.runs.run import Run
from sngan.utils.plain import to_yaml

SETTINGS = "sngan settings"
"""The name of the settings in the metadata of an exported file."""

INPUTS = ("noise", "labels")
"""The names of the inputs; only a conditional generator has the second."""

# batches of one and of several samples: an export that keeps one size fails for another
_SIZES = (1, 3, 16)
_TOLERANCE = 1e-3


class Sampler(nn.Module):
    """``(noise, labels) → samples``, with images clamped to [-1, 1] as ``Run.generate`` does."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.generator = run.generator
        self.has_images = len(run.config.model.sample_shape or ()) == 3

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate samples from noise ``(n, latent_dim)`` and classes int64 ``(n,)``."""
        samples = self.generator(noise, labels)
        return samples.clamp(-1.0, 1.0) if self.has_images else samples


def example(run: Run, n: int) -> tuple[Tensor, ...]:
    """Return the inputs of a sampler for ``n`` samples."""
    noise = noise_from_seed(n, run.config.model.latent_dim, seed=n)
    labels = run.labels(n)
    return (noise,) if labels is None else (noise, labels)


def any_number(names: Sequence[str]) -> dict[str, dict[int, Any]]:
    """Return the shapes of inputs with these names, for any number of samples."""
    rows = torch.export.Dim("n", min=1)
    return {name: {0: rows} for name in names}


def require_equal(run: Run, opened: Callable[[Sequence[Tensor]], Tensor], *, program: str) -> float:
    """Compare samples of an exported file with those of torch; return the largest difference.

    Parameters
    ----------
    run
        The run.
    opened
        Generates samples with the file.
    program
        The program that opened the file, for the error.

    Raises
    ------
    RuntimeError
        If a sample differs by more than 0.001 of the largest value.
    """
    sampler, largest = Sampler(run).eval(), 0.0
    for n in _SIZES:
        inputs = example(run, n)
        with torch.no_grad():
            expected = sampler(*inputs)
        difference = (opened(inputs) - expected).abs().max() / expected.abs().max().clamp_min(1.0)
        largest = max(largest, float(difference))
        # a comparison with NaN is false
        if not float(difference) <= _TOLERANCE:
            raise RuntimeError(
                f"{program} computes other samples than torch: they differ by {difference:.3g}"
            )
    return largest


def settings_text(run: Run) -> str:
    """Return the settings that travel with an exported file, as YAML."""
    return to_yaml(settings_to_share(run.config))


@contextmanager
def without_chatter() -> Generator[None]:
    """Silence the warnings of torch's exporters, which are about their own insides."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
