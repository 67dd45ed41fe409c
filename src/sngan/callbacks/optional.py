"""Optional packages: imported where they are used, with one line that says how to get them."""

import importlib
from typing import Any


def optional_package(name: str) -> Any:
    """Import a package that sngan does not require.

    Raises
    ------
    ValueError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"callbacks: expected the package {name} (pip install {name}), got none"
        ) from error
