"""Resuming: what a run's checkpoints say beside the state, and which one the run goes on from."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from sngan import config as configs
from sngan import data
from sngan.config import MAY_CHANGE_ON_RESUME, Config
from sngan.engine.state import State
from sngan.runs import checkpoint
from sngan.runs.checkpoint import Found
from sngan.runs.names import CHECKPOINTS, CONFIG
from sngan.runs.run import outlines
from sngan.utils.checks import require, require_count
from sngan.utils.fitting import MisfitError, require_fit
from sngan.utils.plain import flatten

_PARTS = ("generator", "critic", "average", "generator_optimizer", "critic_optimizer")
_log = logging.getLogger("sngan")


def settings_to_save(config: Config) -> dict[str, Any]:
    """The settings that a run keeps when it goes on, under dotted keys."""
    settings = flatten(configs.to_dict(config))
    return {key: value for key, value in settings.items() if key not in MAY_CHANGE_ON_RESUME}


def find(folder: Path, config: Config, dataset: data.Dataset) -> Found:
    """Find the newest whole checkpoint of a run folder, and name the newer ones in the log.

    Raises
    ------
    ValueError
        If there is none, or if it was made with other settings, with other data, or after more
        steps than are asked for now.
    """
    found, misfit = _find(folder / CHECKPOINTS, outlines(config))
    _warn_of(found)
    saved = found.state
    before = found.settings or flatten(configs.to_dict(configs.load(folder / CONFIG)))
    changed = [*configs.changes(before, config), *misfit]
    got = f"{'; '.join(changed)} (in {folder / CONFIG} or by flags)"
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
    # earlier versions saved none
    others = data.changes(saved.get("data") or {}, dataset.fingerprint())
    expected = "the data that the run was trained on"
    require(not others, "data", expected=expected, got=f"other data by {', '.join(others)}")
    return found


def load(state: State, found: Found) -> Path:
    """Put a checkpoint into the state, or the next older one that fits; return its file."""
    try:
        state.load_state_dict(found.state)
    except Exception:
        # of any kind, of a checkpoint whose checksums are right and whose content is not
        found = checkpoint.find_newest(found.path.parent, check=state.load_state_dict)
        _warn_of(found)
    return found.path


def _find(folder: Path, networks: tuple[nn.Module, nn.Module]) -> tuple[Found, list[str]]:
    """The newest checkpoint of these networks; or of others, and in words how it differs."""

    def check(saved: dict[str, Any]) -> None:
        _require_parts(saved)
        for key, network in zip(("generator", "critic"), networks, strict=True):
            require_fit(network, saved[key])

    try:
        return checkpoint.find_newest(folder, check=check), []
    except MisfitError as error:
        return checkpoint.find_newest(folder, check=_require_parts), [str(error)]


def _warn_of(found: Found) -> None:
    for problem in found.problems:
        _log.warning("passed over a checkpoint: %s", problem)


def _require_parts(saved: dict[str, Any]) -> None:
    for key in (*_PARTS, "sampler", "rng"):
        require(isinstance(saved.get(key), dict), key, expected="a part of a state", got="none")
    require(isinstance(saved.get("data", {}), dict), "data", expected="a fingerprint", got="none")
    require_count(saved["samples"], "samples")
