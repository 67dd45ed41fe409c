"""What a comparison wants to know of one run, from its folder."""

import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sngan import data
from sngan.config import DataConfig, EvaluationConfig
from sngan.engine.state import open_dataset
from sngan.runs.layout import RunFolder
from sngan.runs.names import MEASURED
from sngan.runs.records import read_metrics
from sngan.runs.run import load, load_critic
from sngan.tasks.compare.trials import Trial
from sngan.utils.plain import read_json, write_json
from sngan.utils.progress import counting
from sngan.utils.text import on_one_line

if TYPE_CHECKING:
    from sngan.metrics import Evaluator

# outside these the signal no longer teaches: the generator stands still, or is thrown about
VANISHING, EXPLODING = 1e-4, 1e2
_CURVES = ("generator_gradient_norm", "critic_gradient_norm", "w_estimate", "w1", "w1_bound")
_POINTS = 200
_SAMPLES, _ROUNDS = 64, 5
_NOISE = 20180216

Curve = list[tuple[float, float]]


def evaluate_trial(trial: Trial) -> dict[str, Any]:
    """Evaluate a finished run and keep the answer in its folder, so that it is done once."""
    folder = RunFolder(trial.folder)
    path = folder.path / MEASURED
    if not path.exists():
        row = {**recorded(trial), **_evaluated(trial), "lipschitz": _lipschitz(trial.folder)}
        if folder.files.exists():
            folder.files.claim(MEASURED)
        write_json(path, row)
    # read even when just written: a continued comparison has the very same numbers
    return read_json(path) | _identity(trial)


def failed(trial: Trial, error: Exception) -> dict[str, Any]:
    """The row of a run that broke off: why, and what it had recorded until then."""
    return recorded(trial) | {"error": on_one_line(error)}


def recorded(trial: Trial) -> dict[str, Any]:
    """What the records of a run say: curves over the generator steps, speed, gradients."""
    records = read_metrics(trial.folder)
    curves = {key: _curve(records, key) for key in _CURVES}
    evaluations = [{"step": r["step"], **r["evaluation"]} for r in records if r.get("evaluation")]
    names = list(dict.fromkeys(key for record in evaluations for key in record if key != "step"))
    curves |= {f"evaluation.{name}": _curve(evaluations, name) for name in names}
    speeds = [r["steps_per_second"] for r in records if r.get("steps_per_second")]
    pictures = sorted((trial.folder / "samples").glob("step-*.png"))
    return {
        **_identity(trial),
        "steps_done": records[-1]["step"] if records else 0,
        "seconds": max((r["seconds"] for r in records if "seconds" in r), default=None),
        "seconds_per_step": 1 / statistics.median(speeds) if speeds else None,
        "gradient": _gradient([value for _, value in curves["generator_gradient_norm"]]),
        "curves": {name: _thinned(curve) for name, curve in curves.items() if curve},
        "samples": f"samples/{pictures[-1].name}" if pictures else None,
    }


def _identity(trial: Trial) -> dict[str, Any]:
    return {
        "method": trial.method,
        "setting": trial.setting,
        "seed": trial.seed,
        "folder": f"{trial.folder.parent.name}/{trial.folder.name}",
        "error": None,
    }


def _curve(records: Sequence[Mapping[str, Any]], key: str) -> Curve:
    return [(r["step"], r[key]) for r in records if r.get(key) is not None]


def _thinned(curve: Curve) -> Curve:
    stride = -(-len(curve) // _POINTS)
    return [*curve[:-1:stride], curve[-1]]


def _gradient(norms: Sequence[float]) -> dict[str, Any] | None:
    """Where the gradient that reached the generator was, and how often out of bounds."""
    if not norms:
        return None
    return {
        "median": statistics.median(norms),
        "vanishing": sum(norm < VANISHING for norm in norms) / len(norms),
        "exploding": sum(norm > EXPLODING for norm in norms) / len(norms),
    }


def _evaluated(trial: Trial) -> dict[str, Any]:
    settings, run = trial.config.evaluation, load(trial.folder)
    # the same noise for every run, and none that the training has pictured
    samples = run.generate(settings.samples, seed=_NOISE)
    result = _evaluator(trial.config.data, settings)(samples)
    return {
        "model": run.config.model.name,
        "is_images": samples.dim() == 4,
        "evaluation": result.values,
        "extractor": result.extractor,
        "n_generated": result.n_generated,
        "n_real": result.n_real,
    }


@lru_cache(maxsize=1)
def _evaluator(source: DataConfig, settings: EvaluationConfig) -> "Evaluator":
    # features of the real data are the dearest part: one evaluator serves all runs
    from sngan.metrics import Evaluator

    return Evaluator(
        open_data(source),
        extractor=settings.extractor,
        samples=settings.samples,
        seed=0,
        weights=settings.weights,
        split=source.split,
    )


def open_data(source: DataConfig) -> data.Dataset:
    """Open the data set that all runs share."""
    with counting("decoding") as progress:
        return open_dataset(source, progress)


def _lipschitz(folder: Path) -> dict[str, Any]:
    from sngan.lipschitz import lipschitz_bounds

    run = load(folder)
    shape = run.config.model.sample_shape
    assert shape is not None
    bounds = lipschitz_bounds(
        load_critic(folder), shape, data=run.generate(_SAMPLES), samples=_SAMPLES, rounds=_ROUNDS
    ).to_dict()
    return {key: bounds[key] for key in ("lower", "upper", "method", "layers", "reasons")}
