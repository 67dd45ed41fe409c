"""Names of feature extractors: those of sngan, those of plug-ins, and ``package.module:name``."""

from collections.abc import Callable
from typing import Any

from sngan.utils.registry import Registry, fitted

EXTRACTORS = ("auto", "points", "pixels", "domain", "inception")

OWN_EXTRACTORS: Registry[Callable[[Any], Any]] = Registry(
    "extractors",
    {},
    argument="extractor",
    convert=lambda part, name: fitted(part, 1, f"extractor {name}"),
)
"""Functions of others, from images ``(n, C, H, W)`` in [−1, 1] to features ``(n, d)``."""
