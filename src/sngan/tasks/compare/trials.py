"""Trials of a comparison: one run for every method, optimizer setting and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sngan.config import Config
from sngan.methods import METHODS, Method, named
from sngan.utils.checks import require, require_count, require_one_of
from sngan.utils.text import as_file_name

RUNS = "runs"

RECIPE_SETTINGS = "own"
"""The name of the setting under which each method keeps the optimizer of its recipe."""


@dataclass(frozen=True)
class Setting:
    """Hyper-parameters of Adam, and the number of critic steps for each generator step."""

    lr: float
    betas: tuple[float, float]
    n_critic: int


SETTINGS = {
    "A": Setting(1e-4, (0.5, 0.9), 5),
    "B": Setting(1e-4, (0.5, 0.999), 1),
    "C": Setting(2e-4, (0.5, 0.999), 1),
    "D": Setting(1e-3, (0.5, 0.9), 5),
    "E": Setting(1e-3, (0.5, 0.999), 5),
    "F": Setting(1e-3, (0.9, 0.999), 5),
}
"""Table 1 of Miyato et al. 2018, arXiv:1802.05957."""


@dataclass(frozen=True)
class Trial:
    """One run of a comparison; ``setting`` is a name of ``SETTINGS`` or ``RECIPE_SETTINGS``."""

    method: str
    setting: str
    seed: int
    config: Config

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.config.out)

    @property
    def name(self) -> str:
        """The name of the run's folder inside the comparison, such as ``runs/sn-seed0``."""
        return f"{RUNS}/{self.folder.name}"

    def __str__(self) -> str:
        setting = "" if self.setting == RECIPE_SETTINGS else f", setting {self.setting}"
        return f"{self.method}{setting}, seed {self.seed}"


def plan_trials(
    base: Config,
    *,
    methods: Sequence[str],
    seeds: int,
    settings: Sequence[str],
    out: str | Path,
    overrides: Mapping[str, Any] | None = None,
) -> list[Trial]:
    """List the runs of a comparison; all methods of the first seed come first.

    Runs of one seed and one architecture start from the same weights.

    Parameters
    ----------
    base
        The settings that all runs share; its seed is the first, the others count up from it.
    methods
        Names of ``sngan.METHODS``.
    seeds
        The number of seeds for each method and setting.
    settings
        Names of ``SETTINGS``; without any, each method keeps the optimizer of its recipe.
    out
        The folder of the comparison.
    overrides
        Fields of ``Method`` that all methods get.

    Raises
    ------
    ValueError
        If there is no method, a method or setting is unknown (the near names are listed), or an
        override has a value that a setting decides.
    """
    require_count(seeds, "seeds")
    require(len(methods) > 0, "methods", expected="at least one method", got="none")
    for name in methods:
        METHODS.require(name, "methods")
    for setting in settings:
        require_one_of(setting, "settings", choices=SETTINGS)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    decided = sorted(given.keys() & {"optimizer", "lr_critic", *Setting.__dataclass_fields__})
    require(
        not (settings and decided),
        "settings",
        expected="none where the optimizer is set by hand",
        got=f"{', '.join(settings)} and {', '.join(f'method.{key}' for key in decided)}",
    )
    return [
        _trial(base, method, setting, base.seed + index, out=Path(out))
        for index in range(seeds)
        for setting in dict.fromkeys(settings or [RECIPE_SETTINGS])
        for method in [named(name, **given) for name in dict.fromkeys(methods)]
    ]


def with_steps(trial: Trial, steps: int) -> Trial:
    """Return the trial with another number of generator steps."""
    return replace(trial, config=replace(trial.config, steps=steps))


def _trial(base: Config, method: Method, setting: str, seed: int, *, out: Path) -> Trial:
    own = [] if setting == RECIPE_SETTINGS else [setting]
    parts = [as_file_name(method.name), *own, f"seed{seed}"]
    config = replace(
        base,
        method=method if setting == RECIPE_SETTINGS else _with_setting(method, SETTINGS[setting]),
        seed=seed,
        out=str(out / RUNS / "-".join(parts)),
    )
    return Trial(method.name, setting, seed, config)


def _with_setting(method: Method, setting: Setting) -> Method:
    return replace(
        method,
        optimizer="adam",
        lr=setting.lr,
        lr_critic=None,
        betas=setting.betas,
        n_critic=setting.n_critic,
    )
