"""Weights & Biases as a callback: settings, numbers, pictures and metrics of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from sngan.callbacks.callback import Callback, Training
from sngan.callbacks.loggers import flat_settings, numbers_of
from sngan.callbacks.optional import optional_package


class Wandb(Callback):
    """Logs a run to Weights & Biases; ``pip install wandb``, or the extra ``sngan[wandb]``.

    Only rank 0 logs. With ``mode="offline"``, or ``WANDB_MODE=offline`` in the environment, nothing
    is sent; ``wandb sync`` sends it later.

    Parameters
    ----------
    project
        The project.
    options
        Further arguments of ``wandb.init``, such as ``name``, ``entity``, ``mode`` and ``dir``;
        the name is that of the run folder if it is left out.

    Raises
    ------
    ValueError
        If wandb is not installed.

    Examples
    --------
    >>> import sngan
    >>> logger = sngan.callbacks.Wandb("toys", mode="offline")  # doctest: +SKIP
    >>> sngan.train(sngan.Config(data="ring8"), callbacks=[logger])  # doctest: +SKIP
    """

    def __init__(self, project: str = "sngan", **options: Any) -> None:
        optional_package("wandb")
        self._options = {"project": project, **options}
        self._run: Any = None

    @override
    def on_start(self, training: Training) -> None:
        """Begin a run with the settings."""
        if training.is_rank_zero:
            named = {"name": training.folder.name, **self._options}
            wandb = optional_package("wandb")
            self._run = wandb.init(config=flat_settings(training.config), **named)

    @override
    def on_log(self, training: Training, record: Mapping[str, Any]) -> None:
        """Log a record."""
        self._run.log(numbers_of(record), step=training.step)

    @override
    def on_picture(self, training: Training, path: Path) -> None:
        """Log a picture of samples."""
        picture = optional_package("wandb").Image(str(path))
        self._run.log({"samples": picture}, step=training.step)

    @override
    def on_evaluate(self, training: Training, metrics: Mapping[str, float]) -> None:
        """Log metrics."""
        self._run.log(numbers_of({"evaluation": metrics}), step=training.step)

    @override
    def on_end(self, training: Training, error: BaseException | None) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish(exit_code=0 if error is None else 1)
            self._run = None
