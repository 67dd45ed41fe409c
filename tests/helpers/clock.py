"""A clock for modules that ask the time, which the test moves by itself."""


class Clock:
    """Takes the place of the module ``time``; it stands still until ``now`` is changed."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now
