"""Loggers of Lightning Fabric as callbacks, and the numbers of a record by name."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from sngan import config as configs
from sngan.callbacks.callback import Callback, Training
from sngan.config import Config
from sngan.utils.plain import flatten

if TYPE_CHECKING:
    from lightning_fabric.loggers.logger import Logger


class FabricLogger(Callback):
    """Passes a run's settings and numbers to any logger of Lightning Fabric.

    Numbers have the names that ``metrics.jsonl`` gives them, with a slash between a group and its
    members: ``critic_loss``, ``sigma/layers.0.weight``, ``evaluation/frechet``. ``sngan.train``
    makes this callback of each logger among its ``callbacks``.

    Parameters
    ----------
    logger
        The logger.

    Examples
    --------
    >>> from lightning_fabric.loggers import CSVLogger
    >>> import sngan
    >>> callback = sngan.callbacks.FabricLogger(CSVLogger("logs"))
    """

    def __init__(self, logger: "Logger") -> None:
        self.logger = logger

    @override
    def on_start(self, training: Training) -> None:
        """Pass the settings on."""
        # some loggers, such as that of CSV files, have no place for settings
        with suppress(NotImplementedError):
            if training.is_rank_zero:
                self.logger.log_hyperparams(flat_settings(training.config))

    @override
    def on_log(self, training: Training, record: Mapping[str, Any]) -> None:
        """Pass a record on."""
        self.logger.log_metrics(numbers_of(record), step=training.step)

    @override
    def on_evaluate(self, training: Training, metrics: Mapping[str, float]) -> None:
        """Pass metrics on."""
        self.logger.log_metrics(numbers_of({"evaluation": metrics}), step=training.step)

    @override
    def on_save(self, training: Training, path: Any) -> None:
        """Let the logger write its numbers whenever a checkpoint is written."""
        self.logger.save()

    @override
    def on_end(self, training: Training, error: BaseException | None) -> None:
        """Finish the logger."""
        if training.is_rank_zero:
            self.logger.save()
            self.logger.finalize("success" if error is None else "failed")


def numbers_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a record; those of a mapping are named ``group/name``.

    >>> numbers_of({"step": 3, "w1": 0.5, "sigma": {"0.weight": 1.0}, "health": None})
    {'w1': 0.5, 'sigma/0.weight': 1.0}
    """
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            members = numbers_of(cast(Mapping[str, Any], value))
            found |= {f"{name}/{member}": number for member, number in members.items()}
        elif isinstance(value, int | float) and name != "step":
            found[name] = value
    return found


def flat_settings(config: Config) -> dict[str, Any]:
    """Return all settings under dotted keys."""
    return flatten(configs.to_dict(config))
