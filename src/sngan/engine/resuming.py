"""Resuming: the checkpoint from which a run goes on, and whether settings and data still fit it."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from sngan import config as configs
from sngan import data
from sngan.config import MAY_CHANGE_ON_RESUME, Config
from sngan.engine.state import PARTS, TrainState
from sngan.runs import checkpoint
from sngan.runs.checkpoint import FoundCheckpoint
from sngan.runs.layout import RunFolder
from sngan.runs.networks import OwnNetworks, networks_on_meta
from sngan.utils.checks import require, require_count
from sngan.utils.fitting import MisfitError, require_fit
from sngan.utils.plain import flatten

_log = logging.getLogger("sngan")


def settings_to_save(config: Config) -> dict[str, Any]:
    """Return the settings that a resumed run may not change, under dotted keys."""
    settings = flatten(configs.to_dict(config))
    return {key: value for key, value in settings.items() if key not in MAY_CHANGE_ON_RESUME}


def find(
    folder: RunFolder, config: Config, dataset: data.Dataset, own: OwnNetworks | None = None
) -> FoundCheckpoint:
    """Find the newest checkpoint that can be read; the log names the newer damaged ones.

    Parameters
    ----------
    folder
        The run folder.
    config
        The settings of the resumed run.
    dataset
        Its data.
    own
        Networks given as objects.

    Raises
    ------
    ValueError
        If there is no checkpoint, or it has other settings, other data, or more steps than
        ``config.steps``.
    """
    found, misfit = _find(folder.checkpoints, networks_on_meta(config, own))
    _warn_of(found)
    saved = found.state
    before = found.settings or flatten(configs.to_dict(configs.load(folder.config)))
    # runs that recorded no held-out images had none
    before = {"data.held_out": None, **before}
    changed = [*configs.changes(before, config), *misfit]
    got = f"{'; '.join(changed)} (in {folder.config} or by flags)"
    require(not changed, "resume", expected="the run's own settings", got=got)
    require(
        config.steps >= saved["step"],
        "steps",
        expected=f"at least the {saved['step']} steps already done",
        got=config.steps,
    )
    require(
        saved["samples"] == dataset.total,
        "data",
        expected=f"the {saved['samples']} samples that the run was trained on",
        got=dataset.total,
    )
    # earlier versions saved no fingerprint
    others = data.changes(saved.get("data") or {}, dataset.fingerprint())
    expected = "the data that the run was trained on"
    require(not others, "data", expected=expected, got=f"other data by {', '.join(others)}")
    return found


def load(state: TrainState, found: FoundCheckpoint) -> Path:
    """Load a checkpoint into the state, or the next older one that fits; return its path."""
    try:
        state.load_state_dict(found.state)
    except Exception:
        # the checksums are right, but the content does not fit, which can raise any error
        found = checkpoint.find_newest(found.path.parent, check=state.load_state_dict)
        _warn_of(found)
    return found.path


def _find(folder: Path, networks: tuple[nn.Module, nn.Module]) -> tuple[FoundCheckpoint, list[str]]:
    """Find the newest checkpoint of these networks; if there is none, of other networks.

    The list says how other networks differ; it is empty for these networks.
    """

    def check(saved: dict[str, Any]) -> None:
        _require_parts(saved)
        for key, network in zip(("generator", "critic"), networks, strict=True):
            require_fit(network, saved[key])

    try:
        return checkpoint.find_newest(folder, check=check), []
    except MisfitError as error:
        return checkpoint.find_newest(folder, check=_require_parts), [str(error)]


def _warn_of(found: FoundCheckpoint) -> None:
    for problem in found.problems:
        _log.warning("passed over a checkpoint: %s", problem)


def _require_parts(saved: dict[str, Any]) -> None:
    for key in (*PARTS, "rng"):
        require(isinstance(saved.get(key), dict), key, expected="a part of a state", got="none")
    require(isinstance(saved.get("data", {}), dict), "data", expected="a fingerprint", got="none")
    require_count(saved["samples"], "samples")
