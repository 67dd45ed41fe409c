"""Errors that end a training: it failed, or somebody interrupted it."""


class TrainingError(RuntimeError):
    """Training failed on the way. The message is one line with the log and the last checkpoint."""


class Interrupted(KeyboardInterrupt):
    """Somebody interrupted the training, and a checkpoint was saved."""
