"""Changes of settings on a resume: free ones, those that need ``--changed``, and those refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from sngan.config.io import to_dict
from sngan.config.schema import Config
from sngan.utils.checks import require
from sngan.utils.fields import is_off
from sngan.utils.plain import flatten

MAY_CHANGE_ON_RESUME = frozenset(
    {
        "steps",
        "out",
        "hours",
        # read by a new run only
        "init",
        # the fingerprint of the data says whether it is the same at another place
        "data.source",
        "data.workers",
        # a resumed run keeps its own value: see ``with_own_settings``
        "data.reading",
        "evaluation.features",
        "log_every",
        "sample_every",
        "save_every",
        "keep_every",
        "evaluation.every",
        "evaluation.samples",
        "evaluation.extractor",
        "evaluation.weights",
        "evaluation.best",
        "performance.accumulate",
        "performance.compile",
        "performance.cuda_graphs",
        "performance.replay",
        "performance.devices",
        "performance.nodes",
        "performance.strategy",
    }
)
"""Settings that change no result beyond rounding, so a resumed run may change them freely.

Examples
--------
>>> from sngan.config import MAY_CHANGE_ON_RESUME
>>> "steps" in MAY_CHANGE_ON_RESUME, "method.lr" in MAY_CHANGE_ON_RESUME
(True, False)
"""

# a checkpoint holds these networks and optimizers, and no others can go on from it
_FIXED = (
    "model.",
    # it decides settings of a new run only
    "preset",
    "data.resolution",
    "data.channels",
    "method.name",
    "method.optimizer",
    "method.critic_norm",
    "method.spectral_norm",
    "method.coefficient",
)
_LEFT_TO_DATA = (None, "auto")


def changes(old: Mapping[str, Any], new: Config) -> list[str]:
    """Return ``"key: old → new"`` for each changed setting that may not change freely.

    ``old`` has the settings of a run under dotted keys; any version of sngan may have written them.
    Settings that only one of the two versions knows are not compared.

    Examples
    --------
    >>> changes({"seed": 0, "steps": 5}, Config(seed=1, steps=9))
    ['seed: 0 → 1']
    """
    settings = flatten(to_dict(new))
    return [
        f"{key}: {old[key]!r} → {value!r}"
        for key, value in settings.items()
        if key in old and _differ(key, old[key], value) and key not in MAY_CHANGE_ON_RESUME
    ]


def known_changes(old: Mapping[str, Any], new: Config) -> list[str]:
    """Return the :func:`changes` that are certain before the data is read.

    Parameters
    ----------
    old
        The settings of the run.
    new
        The settings of the resumed run. Those that are left to the data are not compared.

    Examples
    --------
    >>> known_changes({"seed": 0, "data.resolution": 32}, Config(seed=1))
    ['seed: 0 → 1']
    """
    settings = flatten(to_dict(new))
    return [line for line in changes(old, new) if not _is_open(key := _key_of(line), settings[key])]


def require_allowed(
    found: Sequence[str], misfits: Sequence[str] = (), *, changed: bool, where: object
) -> None:
    """Raise unless a run may go on with these changes.

    Parameters
    ----------
    found
        The changes, as :func:`changes` returns them.
    misfits
        Differences of the networks, with which no run can go on.
    changed
        Whether ``--changed`` was given.
    where
        The file of the run's own settings.

    Raises
    ------
    ValueError
        If there are changes without ``--changed``, or changes that no checkpoint allows.

    Examples
    --------
    >>> found = changes({"seed": 0}, Config(seed=1))
    >>> require_allowed(found, changed=True, where="config.yaml")
    >>> require_allowed(found, changed=False, where="config.yaml")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: resume: expected the run's own settings, got seed: 0 → 1 (in config.yaml ...
    """
    fixed = [*misfits] + [line for line in found if _key_of(line).startswith(_FIXED)]
    advice = (
        "a new run can begin with the weights of this one: --init RUN"
        if fixed
        else "--changed accepts it; the run is then no longer bit for bit one run"
    )
    got = f"{'; '.join([*found, *misfits])} (in {where} or by flags); {advice}"
    is_allowed = not fixed and (changed or not found)
    require(is_allowed, "resume", expected="the run's own settings", got=got)


def _differ(key: str, old: Any, new: Any) -> bool:
    """Whether two values of a setting mean different things: "off" had several spellings."""
    if key == "data.cache":
        # the other caches hold the same images in the same order
        return (old == "stream") != (new == "stream")
    return old != new and not (is_off(old) and is_off(new))


def _key_of(line: str) -> str:
    return line.partition(":")[0]


def _is_open(key: str, value: Any) -> bool:
    """Whether the data decides a setting: it is left out, or a fraction of the images."""
    is_fraction = key == "data.held_out" and isinstance(value, float) and 0 < value < 1
    names = ("model.sample_shape", "model.class_names", "model.empty_classes", "model.standardize")
    return key in names or value in _LEFT_TO_DATA or is_fraction
