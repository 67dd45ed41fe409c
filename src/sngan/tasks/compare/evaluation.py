"""Evaluation of a comparison's runs: the figures of samples and critic, the curves of records."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from sngan import config as configs
from sngan import data
from sngan.config import DataConfig, EvaluationConfig
from sngan.engine.setup import open_dataset
from sngan.methods import Schedule
from sngan.models.packing import packed, packed_shape
from sngan.report.effort import Effort
from sngan.report.learning import still_learning
from sngan.report.results import CriticBounds, Curve, Evaluation, Gradient, RunResult
from sngan.runs.critic import load_critic
from sngan.runs.log_record import LogRecord
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.records import iter_records
from sngan.runs.run import load
from sngan.tasks.compare.trials import Trial
from sngan.utils.checks import require_given
from sngan.utils.plain import read_json, write_json
from sngan.utils.progress import counting
from sngan.utils.tables import NOTHING
from sngan.utils.text import on_one_line

if TYPE_CHECKING:
    from sngan.metrics import Evaluator

VANISHING, EXPLODING = 1e-4, 1e2
"""Limits of the gradient norm: below the first it has vanished, above the second it explodes."""

_CURVES = ("generator_gradient_norm", "critic_gradient_norm", "w_estimate", "w1", "w1_bound")
# lower is better for these; the first one with enough points shows whether a run still learns
_LEARNING = ("w1", "evaluation.frechet", "evaluation.w1")
_POINTS = 200
_SAMPLES, _ROUNDS = 64, 5
_NOISE_SEED = 20180216


def evaluate_trial(trial: Trial) -> RunResult:
    """Evaluate a finished run once: the result is kept in its folder, and read the next time."""
    folder = ManagedRunFolder(trial.folder)
    path = folder.measured
    if not path.exists():
        result = _from_records(trial, evaluated=_evaluation(trial))
        if folder.files.exists():
            folder.files.claim(folder.MEASURED)
        write_json(path, result.to_dict())
    # read the file even if it was written just now, so that a continued comparison has exactly the
    # same numbers
    return replace(
        RunResult.from_dict(read_json(path)),
        method=trial.method,
        setting=trial.setting,
        seed=trial.seed,
        folder=trial.name,
        error=None,
        effort=_effort(trial, trial.config.steps),
    )


def failed_result(trial: Trial, error: Exception) -> RunResult:
    """The result of a run that failed: its error, and its records until then."""
    return _from_records(trial, error=on_one_line(error))


def open_data(source: DataConfig) -> data.Dataset:
    """Open the data set that all runs share."""
    with counting("decoding") as progress:
        return open_dataset(source, progress)


@lru_cache(maxsize=1)
def evaluator(source: DataConfig, settings: EvaluationConfig) -> "Evaluator":
    """Make the evaluator that serves all runs: the features of the real data take the longest."""
    from sngan.metrics import Evaluator

    return Evaluator.from_settings(open_data(source), settings, seed=0, split=source.split)


def _from_records(
    trial: Trial, *, error: str | None = None, evaluated: Evaluation | None = None
) -> RunResult:
    """Read the records of a run: curves over the generator steps, speed, gradients."""
    records = [LogRecord.from_dict(values) for values in iter_records(trial.folder)]
    curves: dict[str, Curve] = {key: _curve(records, key) for key in _CURVES}
    names = dict.fromkeys(name for record in records for name in record.evaluation or {})
    curves |= {f"evaluation.{name}": _evaluation_curve(records, name) for name in names}
    speeds = [record.steps_per_second for record in records if record.steps_per_second]
    steps = records[-1].step if records else 0
    pictures = sorted(ManagedRunFolder(trial.folder).samples.glob("step-*.png"))
    return RunResult(
        method=trial.method,
        setting=trial.setting,
        seed=trial.seed,
        folder=trial.name,
        error=error,
        steps_done=steps,
        effort=_effort(trial, steps),
        cpu_seconds=_last([record.cpu_seconds for record in records]),
        seconds=_last([record.seconds for record in records]),
        seconds_per_step=1 / median(speeds) if speeds else None,
        gradient=_gradient([value for _, value in curves["generator_gradient_norm"]]),
        curves={name: _thinned(curve) for name, curve in curves.items() if curve},
        samples=f"{ManagedRunFolder.SAMPLES}/{pictures[-1].name}" if pictures else None,
        learning=still_learning(curves, _LEARNING),
        evaluated=evaluated,
    )


def _last(seconds: Sequence[float | None]) -> float | None:
    return max((value for value in seconds if value is not None), default=None)


def _effort(trial: Trial, steps: int) -> Effort | None:
    """The budget and the settings of a run; its own file has what the data and family decided."""
    try:
        config = configs.load(ManagedRunFolder(trial.folder).config)
    except ValueError:
        return None
    method = config.method
    rates = (method.lr, method.lr if method.lr_critic is None else method.lr_critic)
    lr, lr_critic = (str(rate) if isinstance(rate, Schedule) else f"{rate:g}" for rate in rates)
    return Effort(
        steps=steps,
        critic_steps=steps * method.n_critic,
        n_critic=method.n_critic,
        batch_size=config.batch_size,
        loss=method.loss,
        penalty=f"{method.penalty} × {method.penalty_weight}" if method.penalty else NOTHING,
        lr=lr,
        lr_critic=lr_critic,
    )


def _curve(records: Sequence[LogRecord], key: str) -> Curve:
    points = ((record.step, getattr(record, key)) for record in records)
    return [(step, value) for step, value in points if value is not None]


def _evaluation_curve(records: Sequence[LogRecord], name: str) -> Curve:
    points = ((record.step, (record.evaluation or {}).get(name)) for record in records)
    return [(step, value) for step, value in points if value is not None]


def _thinned(curve: Curve) -> Curve:
    stride = -(-len(curve) // _POINTS)
    return [*curve[:-1:stride], curve[-1]]


def _gradient(norms: Sequence[float]) -> Gradient | None:
    """The median norm, and how often a norm was outside the limits."""
    if not norms:
        return None
    return Gradient(
        median=median(norms),
        vanishing=sum(norm < VANISHING for norm in norms) / len(norms),
        exploding=sum(norm > EXPLODING for norm in norms) / len(norms),
    )


def _evaluation(trial: Trial) -> Evaluation:
    settings, run = trial.config.evaluation, load(trial.folder)
    # the noise is the same for all runs, and differs from that of the sample grids
    samples = run.generate(settings.samples, seed=_NOISE_SEED)
    result = evaluator(trial.config.data, settings)(samples)
    return Evaluation(
        model=run.config.model.name,
        is_images=samples.dim() == 4,
        evaluation=result.values,
        extractor=result.extractor,
        n_generated=result.n_generated,
        n_real=result.n_real,
        lipschitz=_bounds(trial.folder),
    )


def _bounds(folder: Path) -> CriticBounds:
    from sngan.lipschitz import lipschitz_bounds

    run = load(folder)
    model = run.config.model
    shape = require_given(model.sample_shape, "run", expected="the shape of its samples")
    data = packed(run.generate(model.pack * _SAMPLES), model.pack)
    bounds = lipschitz_bounds(
        load_critic(folder),
        packed_shape(shape, model.pack),
        data=data,
        samples=_SAMPLES,
        rounds=_ROUNDS,
    )
    return CriticBounds.from_dict(bounds.to_dict())
