"""A callback that tests name as helpers.own_callback:make."""

from sngan.callbacks import Callback


class Made(Callback):
    """A callback without hooks."""


def make() -> Made:
    return Made()
