"""Silence of sngan's log, for work whose lines were already said."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

_log = logging.getLogger("sngan")


@contextmanager
def quiet_log() -> Generator[None]:
    """Log nothing inside."""
    before, _log.disabled = _log.disabled, True
    try:
        yield
    finally:
        _log.disabled = before
