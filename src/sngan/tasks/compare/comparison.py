"""The whole comparison: plan, run, measure, and write down."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sngan import config as configs
from sngan.config import Config
from sngan.engine.train import Interrupted, TrainingError
from sngan.report import COMPARISON, write_comparison
from sngan.runs.lock import locked
from sngan.tasks.compare.animation import animate
from sngan.tasks.compare.evaluation import EXPLODING, VANISHING, open_data
from sngan.tasks.compare.layout import ANIMATIONS, PLAN, ComparisonFolder
from sngan.tasks.compare.runner import is_finished, run_trials
from sngan.tasks.compare.summary import Comparison, main_metrics, summarize
from sngan.tasks.compare.trials import RECIPE_SETTINGS, SETTINGS, Trial, plan
from sngan.utils.checks import require
from sngan.utils.plain import finite, flatten, read_json, write_json
from sngan.utils.text import first_line

_FRAMES = 12
# what the plan gives each run, and what a comparison may hold more of when it goes on
_OF_A_RUN = ("method", "seed", "out")


def compare(
    base: Config,
    *,
    methods: Sequence[str],
    seeds: int = 1,
    settings: Sequence[str] = (),
    out: str | Path,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Comparison:
    """Train every method under every optimizer setting and seed, and leave one table and page.

    A comparison that was stopped goes on with the same call: finished runs are kept, an
    unfinished one is resumed; methods, settings and seeds may be added. A run that fails is a row
    that says so. On a machine with several GPUs the runs go side by side.

    Parameters
    ----------
    base
        Data, networks, budget and all else that the runs share; its seed is the first.
    methods
        Names of ``sngan.METHODS``.
    seeds
        How many seeds each method and setting gets.
    settings
        Names of ``SETTINGS``, the rows A–F of Miyato et al. 2018, arXiv:1802.05957, Table 1:
        learning rate, betas and n_critic, with Adam. Left out: each method's own.
    out
        The comparison's folder: ``runs/``, ``compare.json``, ``compare.html`` and, for points in
        the plane, ``animations/``.
    overrides
        Fields of ``Method`` that all methods get, such as ``{"n_critic": 1}``.
    overwrite
        Replace a comparison that is at ``out``: its own files and those of its runs, which are
        deleted once a new run has ended. Other files stay.

    Raises
    ------
    ValueError
        An unknown method or setting, or a folder that holds something else.
    TrainingError
        Every run failed; table and page are written all the same.
    Interrupted
        Ctrl-C or SIGTERM; the message says how many runs were done.
    """
    folder = Path(out)
    dataset = open_data(base.data)
    is_flat = dataset.sample_shape == (2,)
    shared = _watched(base, keep=is_flat)
    trials = plan(
        shared, methods=methods, seeds=seeds, settings=settings, out=folder, overrides=overrides
    )
    own = ComparisonFolder(folder)
    _check(own, base, overrides or {}, overwrite=overwrite)
    with locked(folder):
        own.recover()
        going_on = _check(own, base, overrides or {}, overwrite=overwrite)
        own.begin(trials, replace=overwrite)
        if not going_on:
            write_json(folder / PLAN, _asked(base, overrides or {}), indent=1)
        try:
            rows = run_trials(trials, on_done=_Count(len(trials), own))
            animations = _animate(trials, rows, own, real=dataset.samples) if is_flat else {}
            comparison = Comparison(folder, finite(_contents(base, trials, rows, animations)))
            write_json(folder / COMPARISON, comparison.to_dict(), indent=1)
            write_comparison(folder)
            own.files.give_up()
        except KeyboardInterrupt as stop:
            finished = sum(is_finished(trial) for trial in trials)
            raise Interrupted(
                f"interrupted with {finished} of {len(trials)} runs done; "
                f"the same command goes on from there"
            ) from stop
    if all(row["error"] for row in rows):
        raise TrainingError(f"all {len(rows)} runs failed; the first: {rows[0]['error']}")
    return comparison


class _Count:
    """Says which run has ended, and how many are left."""

    def __init__(self, total: int, folder: ComparisonFolder) -> None:
        self._total, self._ended, self._folder = total, 0, folder

    def __call__(self, run: Trial, row: dict[str, Any]) -> None:
        self._ended += 1
        if not row["error"]:
            # the new comparison has something to show
            self._folder.files.give_up()
        said = "failed" if row["error"] else "done"
        print(f"[{self._ended}/{self._total}] {run}: {said}", flush=True)


def _watched(base: Config, *, keep: bool) -> Config:
    """Evaluate along the way and, for points in the plane, keep checkpoints to animate."""
    part = max(1, base.steps // _FRAMES)
    if not base.evaluation.every:
        base = replace(base, evaluation=replace(base.evaluation, every=part))
    # a checkpoint is kept when it is saved, so both happen together
    return replace(base, keep_every=part, save_every=part) if keep else base


def _asked(base: Config, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {"base": configs.to_dict(base), "overrides": finite(overrides)}


def _check(
    folder: ComparisonFolder, base: Config, overrides: Mapping[str, Any], *, overwrite: bool
) -> bool:
    """Refuse a folder that this command may not write to; return whether it goes on there."""
    is_comparison = folder.is_comparison()
    require(
        is_comparison or folder.files.is_vacant(),
        "out",
        expected="a new or empty folder, or a comparison",
        got=f"{folder.path}, which holds something else",
    )
    path = folder.path / PLAN
    if overwrite or folder.files.is_replacing() or not path.is_file():
        return False
    changed = _differences(_read_plan(path), _asked(base, overrides))
    require(
        not changed,
        "out",
        expected="a comparison with the same settings (--overwrite replaces it)",
        got=f"{folder.path}, where {'; '.join(changed)}",
    )
    return True


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        plan = read_json(path)
        return {"base": plan["base"], "overrides": plan["overrides"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"out: expected a comparison's plan in {path}, got {first_line(error)}"
        ) from error


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    left, right = _shared(old), _shared(new)
    return [
        f"{key}: {left.get(key)!r} → {right.get(key)!r}"
        for key in dict.fromkeys([*left, *right])
        if left.get(key) != right.get(key)
    ]


def _shared(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs share; settings that a newer version brought have their defaults."""
    base = configs.to_dict(configs.from_dict(asked["base"]))
    shared = {key: value for key, value in base.items() if key not in _OF_A_RUN}
    return flatten(shared | {"method": asked["overrides"]})


def _animate(
    trials: Sequence[Trial],
    rows: Sequence[dict[str, Any]],
    folder: ComparisonFolder,
    *,
    real: Tensor,
) -> dict[str, dict[str, str]]:
    """One animation for each method, of its first run that went through."""
    chosen: dict[str, Trial] = {}
    for run, row in zip(trials, rows, strict=True):
        if not row["error"]:
            chosen.setdefault(run.method, run)
    made: dict[str, dict[str, str]] = {}
    for method, run in chosen.items():
        ends = (".gif", ".png")
        gif, strip = (folder.files.claim(f"{ANIMATIONS}/{method}{end}") for end in ends)
        animate(run.folder, gif, strip=strip, real=real)
        made[method] = {"gif": f"{ANIMATIONS}/{gif.name}", "strip": f"{ANIMATIONS}/{strip.name}"}
    return made


def _contents(
    base: Config,
    trials: Sequence[Trial],
    rows: Sequence[dict[str, Any]],
    animations: dict[str, dict[str, str]],
) -> dict[str, Any]:
    from sngan.metrics import HIGHER_IS_BETTER

    metric, coverage = main_metrics(rows)
    settings = list(dict.fromkeys(trial.setting for trial in trials))
    measured = next((row for row in rows if not row["error"]), {})
    return {
        "data": base.data.source,
        "model": measured.get("model", base.model.name),
        "is_images": bool(measured) and measured["is_images"],
        "steps": base.steps,
        "batch_size": base.batch_size,
        "methods": list(dict.fromkeys(trial.method for trial in trials)),
        "settings": {
            name: {} if name == RECIPE_SETTINGS else dataclasses.asdict(SETTINGS[name])
            for name in settings
        },
        "seeds": sorted({trial.seed for trial in trials}),
        "metric": metric,
        "coverage": coverage,
        "higher_is_better": HIGHER_IS_BETTER,
        "extractor": measured.get("extractor"),
        "n_generated": measured.get("n_generated"),
        "n_real": measured.get("n_real"),
        "gradient_limits": {"vanishing": VANISHING, "exploding": EXPLODING},
        "summary": summarize(rows),
        "runs": list(rows),
        "animations": animations,
    }
