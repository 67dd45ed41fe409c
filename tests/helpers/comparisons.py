"""A small comparison on points in the plane, with metrics that are quick."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch

import sngan.metrics
from sngan.config import Config, ModelConfig
from sngan.tasks.compare import compare
from sngan.tasks.compare.evaluation import evaluator

TINY = Config(
    data="ring8",
    model=ModelConfig(width=0.1, latent_dim=4),
    steps=12,
    batch_size=16,
    log_every=2,
    sample_every=12,
)


@dataclass
class Evaluated:
    values: dict
    extractor: str = "points"
    n_generated: int = 0
    n_real: int = 100


class Evaluator:
    """A stand-in that is quick: counts which eighths of the circle have samples."""

    @classmethod
    def from_settings(cls, dataset, settings, **_):
        return cls()

    def __call__(self, samples):
        eighths = (torch.atan2(samples[:, 1], samples[:, 0]) * 4 / torch.pi).floor().unique()
        values = {"modes": float(len(eighths)), "w1": samples.norm(dim=1).mean().item()}
        return Evaluated(values | {"reverse_kl": float("inf")}, n_generated=len(samples))


@contextmanager
def quick_evaluator() -> Generator[None]:
    """Put the stand-in in the place of ``sngan.metrics``."""
    module = ModuleType("sngan.metrics")
    module.Evaluator = Evaluator
    module.mixture_coverage = sngan.metrics.mixture_coverage
    module.HIGHER_IS_BETTER = {"modes": True, "w1": False, "reverse_kl": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sngan.metrics", module)
        evaluator.cache_clear()
        yield
        evaluator.cache_clear()


def compared(out, **options):
    return compare(TINY, out=out, **{"methods": ["sn", "wgan"], "seeds": 2} | options)
