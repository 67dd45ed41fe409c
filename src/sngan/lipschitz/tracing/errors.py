"""Error for a network that cannot be traced."""


class UntraceableError(Exception):
    """The module does something that a recording cannot represent."""
