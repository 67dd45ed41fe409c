"""Settings that a resumed run keeps: its own values where the user gives none."""

import dataclasses
import logging
from pathlib import Path

from sngan.config.data import DataConfig
from sngan.config.io import load
from sngan.config.model import ModelConfig
from sngan.config.schema import Config
from sngan.data.types import READING
from sngan.utils.checks import require
from sngan.utils.families import left_out_as_in

_log = logging.getLogger("sngan")
_OF_VERSION = {
    1: "drops transparency, knows 8 and 16 bits, and makes each folder a class",
    2: "reads labels from dataset.json only if data.labels names it",
    3: "knows no one-hot labels in JSON, and no transparent colour of PNGs of 2, 4 and 16 bits",
    4: "leaves out any number of files beside larger class folders",
}


def with_own_settings(config: Config, path: Path) -> Config:
    """Return the settings of a resumed run: values that are left out come from its own file.

    An earlier version of sngan may have had other defaults, and some defaults depend on the number
    of steps.

    Parameters
    ----------
    config
        The settings that the user gave.
    path
        The ``config.yaml`` of the run.

    Raises
    ------
    ValueError
        If the file is missing, or does not hold settings.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sngan.config import Config, save, with_own_settings
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "config.yaml"
    ...     save(Config(data="ring8", model="mlp"), path)
    ...     with_own_settings(Config(data="ring8", steps=20), path).model.name
    'mlp'
    """
    own = load(path)
    config = left_out_as_in(config, own)
    if config.ema_decay is None and config.ema_halflife is None:
        average = {"ema_decay": own.ema_decay, "ema_halflife": own.ema_halflife}
        config = dataclasses.replace(config, **average)
    expected = "none on a resume, whose weights are in its checkpoint"
    require(config.init in (None, own.init), "init", expected=expected, got=config.init)
    config = dataclasses.replace(config, init=own.init)
    if config.preset == "auto":
        config = dataclasses.replace(config, preset=own.preset)
    return dataclasses.replace(
        config,
        data=_own_data(config.data, own.data),
        model=_own_model(config.model, own.model),
        evaluation=dataclasses.replace(config.evaluation, features=own.evaluation.features),
    )


def _own_data(data: DataConfig, own: DataConfig) -> DataConfig:
    if own.reading != data.reading:
        _log.warning(
            "the run began with version %d of file reading, sngan now has %d: the run keeps its "
            "own, which %s", own.reading, READING, _OF_VERSION.get(own.reading, "differs"),
        )  # fmt: skip
    is_left_out = data.held_out == DataConfig().held_out
    held_out = own.held_out if is_left_out else data.held_out
    return dataclasses.replace(data, reading=own.reading, held_out=held_out)


def _own_model(model: ModelConfig, own: ModelConfig) -> ModelConfig:
    return dataclasses.replace(
        model,
        name=own.name if model.name == "auto" else model.name,
        # the shape says that the run has resolved its settings, so ``standardize`` does not change
        sample_shape=own.sample_shape,
        standardize=own.standardize,
    )
