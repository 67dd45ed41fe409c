"""Names of code in settings: parts that are named ``package.module:name``."""

from collections.abc import Mapping
from typing import Any

from sngan.config.schema import Config
from sngan.losses import LOSSES
from sngan.penalties import PENALTIES

CODE_KEYS = (
    "model.name",
    "method.name",
    "method.loss",
    "method.penalty",
    "data.source",
    "evaluation.extractor",
)
"""The settings that may name code."""


def code_names(config: Config) -> list[str]:
    """Return the values of all settings that may name code; some are no such names.

    Examples
    --------
    >>> code_names(Config(data="digits", method="sn"))
    ['auto', 'sn', 'hinge', '', 'digits', 'auto']
    """
    method = config.method
    return [
        config.model.name,
        method.name,
        method.loss,
        method.penalty or "",
        config.data.source,
        config.evaluation.extractor,
    ]


def code_names_in(settings: Mapping[str, Any]) -> list[str]:
    """Return the same values of settings under dotted keys, as a file holds them.

    Examples
    --------
    >>> code_names_in({"data.source": "own.data:read", "method.lr": 0.1})
    ['own.data:read']
    """
    values = [settings.get(key) for key in (*CODE_KEYS, "model", "method", "data")]
    return [value for value in values if isinstance(value, str)]


def has_own_code(config: Config) -> bool:
    """Whether a training step runs code of others: networks, a loss or a penalty.

    Examples
    --------
    >>> from sngan.config import ModelConfig
    >>> has_own_code(Config()), has_own_code(Config(model=ModelConfig(own=("critic",))))
    (False, True)
    """
    method = config.method
    is_own = method.loss not in LOSSES or (method.penalty or "r1") not in PENALTIES
    return is_own or config.model.is_own
