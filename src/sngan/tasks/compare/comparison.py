"""Comparison of methods: plan the runs, train and evaluate them, write the table and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from sngan import config as configs
from sngan.config import Config
from sngan.data import Dataset
from sngan.engine.resolve import resolve_config
from sngan.engine.train import Interrupted, TrainingError
from sngan.report import COMPARISON, write_comparison
from sngan.report.results import ComparisonResult, RunResult
from sngan.runs.lock import locked
from sngan.tasks.compare.animation import animate
from sngan.tasks.compare.budget import (
    Budget,
    critic_step_trials,
    measured_speeds,
    timed_trials,
)
from sngan.tasks.compare.evaluation import EXPLODING, VANISHING, open_data
from sngan.tasks.compare.layout import ANIMATIONS, PLAN, ComparisonFolder
from sngan.tasks.compare.plan import ComparisonPlan
from sngan.tasks.compare.runner import is_finished, run_trials
from sngan.tasks.compare.summary import Comparison, main_metrics, summarize
from sngan.tasks.compare.trials import RECIPE_SETTINGS, SETTINGS, Trial, plan_trials
from sngan.utils import consent
from sngan.utils.checks import require, require_one_of
from sngan.utils.plain import write_json
from sngan.utils.text import counted

_FRAMES = 12


def compare(
    base: Config,
    *,
    methods: Sequence[str],
    seeds: int = 1,
    settings: Sequence[str] = (),
    out: str | Path,
    overrides: Mapping[str, Any] | None = None,
    same_budget: Budget = "steps",
    overwrite: bool = False,
) -> Comparison:
    """Train every method under every optimizer setting and seed, and write one table and page.

    The same call continues a comparison that was stopped: finished runs are kept, an unfinished
    one is resumed, and methods, settings and seeds may be added. A run that fails becomes a row
    with its error. On a machine with several GPUs the runs train side by side.

    Parameters
    ----------
    base
        The settings that the runs share, such as data, networks and budget; its seed is the first.
    methods
        Names of ``sngan.METHODS``.
    seeds
        How many seeds each method and setting gets.
    settings
        Names of ``SETTINGS``, the rows A–F of Miyato et al. 2018, arXiv:1802.05957, Table 1:
        learning rate, betas and n_critic, with Adam. Without any, each method keeps its own.
    out
        The comparison's folder: ``runs/``, ``compare.json``, ``compare.html`` and, for points in
        the plane, ``animations/``.
    overrides
        Fields of ``Method`` that all methods get, such as ``{"n_critic": 1}``.
    same_budget
        The budget that each method gets. ``steps``: ``base.steps`` of the generator.
        ``critic-steps``: ``base.steps`` of the critic, so a method with n_critic of 5 has a fifth
        of the generator steps. ``seconds``: the time that the first method needs for
        ``base.steps``; a few steps of each method are timed first, on an idle machine if possible.
    overwrite
        Replace a comparison that is at ``out``: its own files and those of its runs are deleted
        once a new run has ended. Other files stay.

    Raises
    ------
    ValueError
        If a method or setting is unknown or does not fit the data, or the folder holds something
        else.
    TrainingError
        If every run failed; table and page are written before it is raised.
    Interrupted
        If Ctrl-C or SIGTERM stopped it; the message says how many runs were done.
    """
    given = (*methods, *(value for value in (overrides or {}).values() if isinstance(value, str)))
    consent.allow_own([*configs.code_names(base), *given])
    folder = ComparisonFolder(Path(out))
    dataset = open_data(base.data)
    # a preset would change the steps of a run, which the comparison divides into parts
    base = replace(base.of_family(is_images=dataset.is_images), preset="none")
    require_one_of(same_budget, "same_budget", choices=get_args(Budget))
    asked = ComparisonPlan.of(base, overrides or {}, same_budget)
    is_flat = dataset.sample_shape == (2,)
    trials = plan_trials(
        base,
        methods=methods,
        seeds=seeds,
        settings=settings,
        out=folder.path,
        overrides=overrides,
    )
    for trial in trials:
        # a method that does not fit the data is refused before the first run
        resolve_config(trial.config, dataset)
    _check(folder, asked, overwrite=overwrite)
    with locked(folder.path):
        folder.recover()
        before = _check(folder, asked, overwrite=overwrite)
        trials, plan = _with_budget(trials, asked, before, dataset)
        trials = [_with_evaluations(trial, before, keep=is_flat) for trial in trials]
        folder.begin(trials, replace=overwrite)
        if before is None or plan.speeds != before.speeds:
            plan.write(folder.path / PLAN)
        try:
            results = run_trials(trials, on_done=_ProgressPrinter(len(trials), folder))
            animations = _animate(trials, results, folder, real=dataset.samples) if is_flat else {}
            comparison = Comparison(
                folder.path, _collect_results(base, trials, results, animations, plan)
            )
            write_json(folder.path / COMPARISON, comparison.to_dict(), indent=1)
            write_comparison(folder.path)
            folder.files.delete_set_aside()
        except KeyboardInterrupt as stop:
            finished = sum(is_finished(trial) for trial in trials)
            raise Interrupted(
                f"interrupted with {finished} of {len(trials)} runs done; "
                f"the same command goes on from there"
            ) from stop
    if all(result.error for result in results):
        raise TrainingError(
            f"all {counted(len(results), 'run')} failed; the first: {results[0].error}"
        )
    return comparison


class _ProgressPrinter:
    """Prints the run that has ended, and how many runs have ended."""

    def __init__(self, total: int, folder: ComparisonFolder) -> None:
        self._total, self._ended, self._folder = total, 0, folder

    def __call__(self, trial: Trial, result: RunResult) -> None:
        self._ended += 1
        if not result.error:
            # the new comparison has a result, so the files of the one before are not needed
            self._folder.files.delete_set_aside()
        said = "failed" if result.error else "done"
        print(f"[{self._ended}/{self._total}] {trial}: {said}", flush=True)


def _with_budget(
    trials: list[Trial], asked: ComparisonPlan, before: ComparisonPlan | None, dataset: Dataset
) -> tuple[list[Trial], ComparisonPlan]:
    """Give each trial its steps; return the plan with the speeds that were measured for that."""
    steps = trials[0].config.steps
    if asked.same_budget == "critic-steps":
        return critic_step_trials(trials, steps, is_images=dataset.is_images), asked
    if asked.same_budget == "seconds":
        speeds = measured_speeds(trials, dataset, {} if before is None else before.speeds)
        return timed_trials(trials, steps, speeds), replace(asked, speeds=speeds)
    return trials, asked


def _with_evaluations(trial: Trial, before: ComparisonPlan | None, *, keep: bool) -> Trial:
    """Return the trial with evaluations; ``keep`` also keeps checkpoints for the animation.

    A comparison that goes on keeps the meaning that ``extractor: auto`` had when it began.
    """
    config = trial.config
    part = max(1, config.steps // _FRAMES)
    evaluation = config.evaluation
    if evaluation.every in (None, "auto"):
        evaluation = replace(evaluation, every=part)
    if before is not None:
        evaluation = replace(evaluation, features=before.features)
    config = replace(config, evaluation=evaluation)
    # a checkpoint is kept only when it is saved, so both have the same interval
    config = replace(config, keep_every=part, save_every=part) if keep else config
    return replace(trial, config=config)


def _check(
    folder: ComparisonFolder, asked: ComparisonPlan, *, overwrite: bool
) -> ComparisonPlan | None:
    """Refuse a folder that this command may not write to; return the plan that goes on."""
    require(
        folder.is_comparison() or folder.files.is_vacant(),
        "out",
        expected="a new or empty folder, or a comparison",
        got=f"{folder.path}, which holds something else",
    )
    path = folder.path / PLAN
    if overwrite or folder.files.has_set_aside() or not path.is_file():
        return None
    before = ComparisonPlan.read(path)
    changed = before.differences(asked)
    require(
        not changed,
        "out",
        expected="a comparison with the same settings (--overwrite replaces it)",
        got=f"{folder.path}, where {'; '.join(changed)}",
    )
    return before


def _animate(
    trials: Sequence[Trial],
    results: Sequence[RunResult],
    folder: ComparisonFolder,
    *,
    real: Tensor,
) -> dict[str, dict[str, str]]:
    """Draw one animation for each method, of its first run that did not fail."""
    chosen: dict[str, Trial] = {}
    for trial, result in zip(trials, results, strict=True):
        if not result.error:
            chosen.setdefault(trial.method, trial)
    made: dict[str, dict[str, str]] = {}
    for method, trial in chosen.items():
        ends = (".gif", ".png")
        gif, strip = (folder.files.claim(f"{ANIMATIONS}/{method}{end}") for end in ends)
        animate(trial.folder, gif, strip=strip, real=real)
        made[method] = {"gif": f"{ANIMATIONS}/{gif.name}", "strip": f"{ANIMATIONS}/{strip.name}"}
    return made


def _collect_results(
    base: Config,
    trials: Sequence[Trial],
    results: Sequence[RunResult],
    animations: dict[str, dict[str, str]],
    plan: ComparisonPlan,
) -> ComparisonResult:
    from sngan.metrics import HIGHER_IS_BETTER

    metric, coverage = main_metrics(results)
    settings = list(dict.fromkeys(trial.setting for trial in trials))
    first = next((result.evaluated for result in results if result.evaluated), None)
    return ComparisonResult(
        data=base.data.source,
        model=first.model if first else base.model.name,
        is_images=first is not None and first.is_images,
        steps=base.steps,
        same_budget=plan.same_budget,
        reference=plan.reference,
        batch_size=base.batch_size,
        methods=list(dict.fromkeys(trial.method for trial in trials)),
        settings={
            name: {} if name == RECIPE_SETTINGS else asdict(SETTINGS[name]) for name in settings
        },
        seeds=sorted({trial.seed for trial in trials}),
        metric=metric,
        coverage=coverage,
        higher_is_better=HIGHER_IS_BETTER,
        extractor=first.extractor if first else None,
        n_generated=first.n_generated if first else None,
        n_real=first.n_real if first else None,
        gradient_limits={"vanishing": VANISHING, "exploding": EXPLODING},
        summary=summarize(results),
        runs=list(results),
        animations=animations,
    )
