"""Resuming: the checkpoint from which a run goes on, and whether settings and data still fit it."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from sngan import config as configs
from sngan import data
from sngan.config import MAY_CHANGE_ON_RESUME, Config
from sngan.data.survey import Opened
from sngan.engine.own_parts import OWN, OwnParts
from sngan.engine.state import PARTS, TrainState
from sngan.runs import checkpoint
from sngan.runs.checkpoint import FoundCheckpoint
from sngan.runs.chosen import glance_at_newest
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.networks import OwnNetworks, networks_on_meta
from sngan.utils.checks import require, require_count
from sngan.utils.fitting import MisfitError, require_fit
from sngan.utils.plain import flatten
from sngan.utils.text import counted

_SAME_DATA = "the data that the run was trained on"
_ACCEPT = "--changed accepts it; the run is then no longer bit for bit one run"
_log = logging.getLogger("sngan")


def settings_to_save(config: Config) -> dict[str, Any]:
    """Return the settings that a resumed run may not change, under dotted keys."""
    settings = flatten(configs.to_dict(config))
    return {key: value for key, value in settings.items() if key not in MAY_CHANGE_ON_RESUME}


def require_resumable(
    folder: ManagedRunFolder, config: Config, *, changed: bool, own: OwnParts
) -> Callable[[Opened], None]:
    """Refuse a resume whose settings do not fit, before the data is read.

    Return a check of the opened data, which is called before its images are decoded.

    Parameters
    ----------
    folder
        The run folder.
    config
        The settings of the resumed run.
    changed
        Whether other settings and other data are accepted.
    own
        The parts that were given as objects.

    Raises
    ------
    ValueError
        If a setting has changed that may not, or there is nothing at the place of the data.
    """
    newest, saved = glance_at_newest(folder.checkpoints)
    # the run's own settings say which networks were given as objects
    config = replace(config, model=replace(config.model, own=own.networks.names))
    path = folder.settings_path()
    found = configs.known_changes(_settings_before(saved.get("settings"), path), config)
    is_other = any(line.startswith("model.") for line in found)
    misfits = _misfits(newest, saved, config, own.networks) if is_other else []
    configs.require_allowed(found, misfits, changed=changed, where=path)
    source = config.data.source
    expected = "the run's data, or --data with its new place"
    is_missing = source != OWN and data.is_missing(source)
    require(not is_missing, "data", expected=expected, got=f"nothing at {source}")

    def check(opened: Opened) -> None:
        content = None if isinstance(opened, data.Dataset) else opened.content
        if content is not None and not changed:
            _require_same(saved.get("data"), data.of_content(content))

    return check


def find(
    folder: ManagedRunFolder,
    config: Config,
    dataset: data.Dataset,
    *,
    changed: bool,
    own: OwnNetworks | None = None,
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
    changed
        Whether other settings and other data are accepted.
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
    lines = configs.changes(_settings_before(found.settings, folder.settings_path()), config)
    configs.require_allowed(lines, misfit, changed=changed, where=folder.config)
    require(
        config.steps >= saved["step"],
        "steps",
        expected=f"at least the {counted(saved['step'], 'step')} already done",
        got=config.steps,
    )
    if not changed:
        require(
            saved["samples"] == dataset.total,
            "data",
            expected=f"the {counted(saved['samples'], 'sample')} that the run was trained on",
            got=f"{dataset.total} ({_ACCEPT})",
        )
        _require_same(saved.get("data"), dataset.fingerprint())
    return found


def load(state: TrainState, found: FoundCheckpoint, *, changed: bool = False) -> Path:
    """Load a checkpoint into the state, or the next older one that fits; return its path.

    Parameters
    ----------
    state
        The state of the resumed run.
    found
        The checkpoint.
    changed
        Whether other settings and other data are accepted. If the data has changed, the batches
        then begin with the first epoch; a part that the checkpoint lacks begins too.
    """

    def load_into(saved: dict[str, Any]) -> None:
        state.load_state_dict(saved, without=_parts_begun(state, saved) if changed else ())

    try:
        load_into(found.state)
    except Exception:
        # the checksums are right, but the content does not fit, which can raise any error
        found = checkpoint.find_newest(found.path.parent, check=load_into)
        _warn_of(found)
    return found.path


def log_changes(config: Config, found: FoundCheckpoint, dataset: data.Dataset) -> None:
    """Write to the log what ``--changed`` has changed."""
    lines = configs.changes(found.settings, config)
    lines += [
        f"data: {part}"
        for part in data.changes(found.state.get("data") or {}, dataset.fingerprint())
    ]
    if lines:
        _log.warning(
            "changed at step %d: %s; from here on the run is not bit for bit an uninterrupted one",
            found.state["step"],
            "; ".join(lines),
        )


def _settings_before(saved: object, path: Path) -> dict[str, Any]:
    """Return the settings in a checkpoint; earlier versions saved none, so the run's file has them.

    Runs that recorded no held-out images had none.
    """
    known = saved if isinstance(saved, Mapping) and saved else None
    before = flatten(configs.to_dict(configs.load(path))) if known is None else known
    return {"data.held_out": None, **before}


def _require_same(saved: Any, now: Mapping[str, object]) -> None:
    # earlier versions saved no fingerprint
    others = data.changes(saved if isinstance(saved, Mapping) else {}, now)
    got = f"other data by {', '.join(others)} ({_ACCEPT})"
    require(not others, "data", expected=_SAME_DATA, got=got)


def _parts_begun(state: TrainState, saved: dict[str, Any]) -> Collection[str]:
    """Return the parts of a state that cannot go on after a change, and begin again."""
    # p of an adaptive augmentation begins at 0
    begun = {"augmentation"} - saved.keys()
    others = data.changes(saved.get("data") or {}, state.fingerprint)
    is_of_stream = saved["sampler"].keys() == state.sampler.state_dict().keys()
    return begun if not others and is_of_stream else {*begun, "sampler"}


def _misfits(path: Path, saved: dict[str, Any], config: Config, own: OwnNetworks) -> list[str]:
    """Say how the networks of settings differ from those in a checkpoint."""
    try:
        _require_networks(saved, networks_on_meta(config, own))
    except MisfitError as error:
        return [f"{path}: {error}"]
    except (ValueError, KeyError):
        # the settings do not say the networks without the data, or it is no checkpoint
        return []
    return []


def _require_networks(saved: dict[str, Any], networks: tuple[nn.Module, nn.Module]) -> None:
    for key, network in zip(("generator", "critic"), networks, strict=True):
        require_fit(network, saved[key])


def _find(folder: Path, networks: tuple[nn.Module, nn.Module]) -> tuple[FoundCheckpoint, list[str]]:
    """Find the newest checkpoint of these networks; if there is none, of other networks.

    The list says how other networks differ; it is empty for these networks.
    """

    def check(saved: dict[str, Any]) -> None:
        _require_parts(saved)
        _require_networks(saved, networks)

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
