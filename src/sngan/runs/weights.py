"""Weights of a run: its generator and critic from disk, checked against the settings."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sngan import config as configs
from sngan.config import Config
from sngan.runs import checkpoint
from sngan.runs.chosen import LAST, read_chosen, require_choice
from sngan.runs.layout import RunFolder
from sngan.runs.model_file import write_model_file
from sngan.runs.networks import OwnNetworks, networks_on_meta
from sngan.utils import consent
from sngan.utils.checks import require
from sngan.utils.fitting import MisfitError, require_fit
from sngan.utils.tensor_files import DamagedFileError, read_tensors
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


def save_generator(
    generator: nn.Module, folder: Path, config: Config, *, is_best: bool = False
) -> None:
    """Write ``generator.safetensors`` atomically, with a checksum and the settings.

    Parameters
    ----------
    generator
        The averaged generator.
    folder
        The run folder.
    config
        The resolved settings of the run, so that the file alone is a model.
    is_best
        Whether the file is that of the best step.
    """
    run = RunFolder(folder)
    write_model_file(generator, run.best_generator if is_best else run.generator, config)


def read_config(folder: Path, *, allow_code: bool = False) -> Config:
    """Read the settings of a run; nothing that they name is imported.

    With ``allow_code``, whatever imports it later has the user's consent.

    Raises
    ------
    ValueError
        If the folder is no run, or ``config.yaml`` is not sngan's.
    """
    path = RunFolder(folder).config
    require(path.is_file(), "run", expected=f"a run folder with {path.name}", got=folder)
    with _not_of_sngan(path):
        config = configs.load(path)
    consent.note_from_file(configs.code_names(config), allowed=allow_code)
    return config


def read_settings(
    folder: Path, *, allow_code: bool = False, own: OwnNetworks | None = None
) -> tuple[Config, tuple[nn.Module, nn.Module]]:
    """Read the settings of a run, and build its networks without memory for weights.

    Parameters
    ----------
    folder
        The folder of the run.
    allow_code
        Import the code that the settings name, if they name some.
    own
        Networks of the run that were given as objects.

    Raises
    ------
    ValueError
        If the folder is no run, ``config.yaml`` is not sngan's, or it names code that nobody has
        allowed.
    """
    config = read_config(folder, allow_code=allow_code)
    with _not_of_sngan(RunFolder(folder).config):
        return config, networks_on_meta(config, own)


@contextmanager
def _not_of_sngan(path: Path) -> Generator[None]:
    try:
        yield
    except consent.NoConsentError:
        raise
    except ValueError as error:
        expected = f"a run folder with a {path.name} of sngan's"
        raise ValueError(f"run: expected {expected}, got {path} ({first_line(error)})") from error


def read_generator(on_meta: nn.Module, folder: Path, choice: str | int = LAST) -> dict[str, Tensor]:
    """Read ``generator.safetensors``; if it is damaged, read the same weights from a checkpoint.

    Parameters
    ----------
    on_meta
        The generator of the settings.
    folder
        The run folder.
    choice
        Another checkpoint: ``"best"`` or a step.

    Raises
    ------
    ValueError
        If there is neither, or the weights do not fit the settings.
    """
    choice = require_choice(choice)
    if choice != LAST:
        return _fitting(on_meta, _averaged(read_chosen(folder, choice)), folder)
    path = RunFolder(folder).generator
    try:
        require(
            path.is_file(), "run", expected=f"a {path.name} (train first)", got=f"none in {folder}"
        )
        weights = read_tensors(path)
        require_fit(on_meta, weights)
        return weights
    except MisfitError as error:
        damage = _misfit(folder, f"{path}: {error}")
    except DamagedFileError as error:
        damage = f"run: expected whole weights, got {path} ({first_line(error)})"
    except ValueError as error:
        damage = str(error)

    def check(saved: dict[str, Any]) -> None:
        require_fit(on_meta, _averaged(saved))

    try:
        saved, problems = checkpoint.read_newest(RunFolder(folder).checkpoints, check=check)
    except ValueError as error:
        raise ValueError(damage) from error
    source = f"its weights are taken from the checkpoint of step {saved['step']}"
    _warn_of([damage, *problems, source])
    return _averaged(saved)


def read_critic(on_meta: nn.Module, folder: Path, choice: str | int = LAST) -> dict[str, Tensor]:
    """Read the weights of the critic from the newest readable checkpoint.

    Parameters
    ----------
    on_meta
        The critic of the settings.
    folder
        The run folder.
    choice
        Another checkpoint: ``"best"`` or a step.

    Raises
    ------
    ValueError
        If no checkpoint can be read, or the weights do not fit the settings.
    """
    choice = require_choice(choice)
    if choice != LAST:
        return _fitting(on_meta, read_chosen(folder, choice)["critic"], folder)

    def check(saved: dict[str, Any]) -> None:
        require_fit(on_meta, saved["critic"])

    try:
        saved, problems = checkpoint.read_newest(RunFolder(folder).checkpoints, check=check)
    except MisfitError as error:
        raise ValueError(_misfit(folder, str(error))) from error
    _warn_of(problems)
    return saved["critic"]


def require_settings_of_weights(folder: Path) -> None:
    """Raise unless the settings of a run fit its weights, if these can be read.

    Raises
    ------
    ValueError
        If ``config.yaml`` is not sngan's, or describes another network than the weights.
    """
    config = read_config(folder)
    if config.model.is_own:
        # a page needs no code, so the networks cannot be built here
        return
    with _not_of_sngan(RunFolder(folder).config):
        on_meta, _ = networks_on_meta(config)
    path = RunFolder(folder).generator
    try:
        require_fit(on_meta, read_tensors(path))
    except MisfitError as error:
        raise ValueError(_misfit(folder, f"{path}: {error}")) from error
    except (DamagedFileError, OSError):
        # a run that has just begun has no weights yet
        return


def _fitting(on_meta: nn.Module, weights: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    try:
        require_fit(on_meta, weights)
    except MisfitError as error:
        raise ValueError(_misfit(folder, str(error))) from error
    return weights


def _misfit(folder: Path, got: str) -> str:
    return f"run: expected {RunFolder(folder).config} with the settings of the weights, got {got}"


def _averaged(saved: dict[str, Any]) -> dict[str, Tensor]:
    prefix = "module."
    average = saved["average"].items()
    return {key.removeprefix(prefix): value for key, value in average if key.startswith(prefix)}


def _warn_of(problems: list[str]) -> None:
    for problem in problems:
        _log.warning("%s", problem)
