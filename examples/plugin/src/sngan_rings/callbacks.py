"""A callback: prints the best exact W1 of the records."""

from sngan.callbacks import Callback


class BestW1(Callback):
    """Follow the records, and print the best W1 at the end."""

    def __init__(self) -> None:
        self.best = float("inf")

    def on_log(self, training, record) -> None:
        """Remember the smallest W1."""
        self.best = min(self.best, record.get("w1", self.best))

    def on_end(self, training, error) -> None:
        """Print it once."""
        if training.is_rank_zero:
            print(f"best W1 of the records: {self.best:.4g}")
