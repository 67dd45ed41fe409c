"""Methods: ways to train a critic, with the recipes of papers by their names."""

from sngan.methods.method import Method as Method
from sngan.methods.recipes import METHODS as METHODS
from sngan.methods.recipes import named as named
from sngan.methods.schedule import Schedule as Schedule
from sngan.methods.schedule import require_scheduled as require_scheduled
from sngan.methods.schedule import value_at as value_at

__all__ = [
    "METHODS",
    "Method",
    "Schedule",
    "named",
    "require_scheduled",
    "value_at",
]
