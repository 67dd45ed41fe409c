"""Report ``report.html``: one self-contained page for people who did not train the run."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sngan import config as configs
from sngan import health
from sngan.report.charts import Chart, bands, curves
from sngan.report.history import History, Record, Series
from sngan.report.rendering import embedded, write_page
from sngan.report.results import Band
from sngan.runs.layout import RunFolder
from sngan.runs.records import iter_records
from sngan.utils.checks import require
from sngan.utils.fields import is_off
from sngan.utils.plain import flatten, read_yaml
from sngan.utils.text import first_line

_FRAMES = 8
_RELOAD_SECONDS = 20
_LAYERS = 24
_LONGEST_TEXT = 2**20
_KEYS = (
    "critic_loss", "generator_loss", "penalty", "w_estimate", "w1", "w1_bound",
    "generator_gradient_norm", "critic_gradient_norm", "augment_p", "augment_sign",
)  # fmt: skip


def write_report(folder: Path, *, is_live: bool = False) -> Path:
    """Write ``report.html`` into a run folder, from its saved records only.

    Parameters
    ----------
    folder
        The run folder.
    is_live
        Whether the run goes on. The page then says so, and reloads itself.

    Raises
    ------
    ValueError
        If the folder is no run, or another program's file is at ``report.html``.
    """
    path = RunFolder(folder).config
    require(path.is_file(), "run", expected="a run folder with config.yaml", got=folder)
    settings = _settings(path)
    judged = health.History()
    records = _also_to(judged, iter_records(folder))
    history = History(records, keys=_KEYS, groups=("sigma", "evaluation"))
    return write_page(
        RunFolder(folder).report,
        "run.html",
        headline=_headline(settings),
        facts=_facts(settings, history),
        health=_health(judged, path),
        frames=_frames(folder),
        crisp=_is_of_images(settings),
        charts=_charts(history),
        nothing="This run recorded none of these values.",
        evaluation=_evaluation(history.groups["evaluation"]),
        skipped=_lines(RunFolder(folder).skipped),
        settings=[(key, str(value)) for key, value in flatten(settings).items()],
        folder=str(folder),
        live_since=datetime.now().astimezone().strftime("%H:%M:%S %Z") if is_live else None,
        reload_seconds=_RELOAD_SECONDS,
    )


def _settings(path: Path) -> dict[str, Any]:
    values: Any
    try:
        values = read_yaml(path)
    except (ValueError, OSError) as error:
        values = first_line(error)
    require(isinstance(values, dict), "run", expected=f"settings in {path}", got=values)
    return values


def _also_to(judged: health.History, records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records, and add each one to the history by which the run is judged."""
    for record in records:
        judged.add(record)
        yield record


def _health(judged: health.History, path: Path) -> health.Diagnosis | None:
    """Judge the health of the run; ``None`` without records, or with settings of others."""
    try:
        return health.diagnose(judged, configs.load(path))
    except ValueError:
        return None


def _group(settings: dict[str, Any], key: str) -> dict[str, Any]:
    group = settings.get(key)
    return cast(dict[str, Any], group) if isinstance(group, dict) else {}


def _is_of_images(settings: dict[str, Any]) -> bool:
    shape = _group(settings, "model").get("sample_shape")
    return isinstance(shape, list) and len(cast(list[Any], shape)) == 3


def _lines(path: Path) -> list[str]:
    """The lines of a text that may be large; a link is not followed."""
    if path.is_symlink() or not path.is_file():
        return []
    with path.open("rb") as file:
        return file.read(_LONGEST_TEXT).decode(errors="backslashreplace").splitlines()


def _headline(settings: dict[str, Any]) -> dict[str, str]:
    data, method, model = (_group(settings, key) for key in ("data", "method", "model"))
    return {
        "source": str(data.get("source", "unknown data")),
        "method": str(method.get("name", "unknown")),
        "constraint": _constraint(method),
        "paper": str(method.get("paper", "")),
        "model": str(model.get("name", "unknown")),
    }


def _constraint(method: dict[str, Any]) -> str:
    """A sentence about the constraints on the critic's slope."""
    parts: list[str] = []
    if not is_off(method.get("spectral_norm")):
        kept = _short(method.get("coefficient", 1.0))
        parts.append(f"every layer's spectral norm is kept at {kept}")
    if not is_off(method.get("clip")):
        parts.append(f"every weight is clipped to ±{_short(method['clip'])}")
    if not is_off(method.get("penalty")):
        parts.append(f"the {method['penalty']} gradient penalty pulls its slope towards a target")
    return " and ".join(parts) or "nothing bounds its slope"


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _facts(settings: dict[str, Any], history: History) -> list[tuple[str, str]]:
    asked = settings.get("steps", "?")
    if history.last is None:
        return [("steps asked for", str(asked))]
    of = f"{asked:,}" if isinstance(asked, int) else str(asked)
    facts = [("steps", f"{history.step:,} of {of}")]
    if history.seconds is not None:
        facts.append(("time", _duration(history.seconds)))
        facts.append(("steps per second", f"{history.step / max(history.seconds, 1e-9):.3g}"))
    if "w_estimate" in history.series:
        facts.append(("last W estimate", f"{history.series['w_estimate'].last[1]:.3g}"))
    sigmas = [one.last for one in history.groups["sigma"].values()]
    newest = max((step for step, _ in sigmas), default=0)
    largest = max((value for step, value in sigmas if step == newest), default=None)
    if largest is not None:
        facts.append(("largest σ of a layer", f"{largest:.3g}"))
    return facts


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _frames(folder: Path) -> list[dict[str, str]]:
    """At most eight pictures: the first, the last, and more early than late ones between."""
    # the folder may hold other files too
    names = sorted(
        (int(found[1]), path.name)
        for path in RunFolder(folder).samples.glob("step-*.png")
        if (found := re.fullmatch(r"step-(\d{1,18})\.png", path.name))
    )
    if len(names) > _FRAMES:
        last = len(names) - 1
        places = {0, *(round(last ** (k / (_FRAMES - 2))) for k in range(_FRAMES - 1))}
        names = [names[place] for place in sorted(places)]
    frames = [(step, embedded(folder, f"{RunFolder.SAMPLES}/{name}")) for step, name in names]
    return [{"step": f"{step:,}", "uri": uri} for step, uri in frames if uri is not None]


def _charts(history: History) -> list[Chart]:
    return [
        Chart(
            "Losses",
            "In a healthy run neither loss grows without end: the networks keep each other in "
            "check. The height of a GAN's losses says little about the quality of its samples.",
            _curves("losses", history, {"critic": "critic_loss", "generator": "generator_loss"}
                    | ({"penalty": "penalty"} if "penalty" in history.series else {}),
                    ylabel="loss"),
        ),
        Chart(
            "Wasserstein estimate",
            "The critic's mean score of real samples minus that of generated ones. With a critic "
            "of bounded slope it estimates, up to that bound, how far apart the two are: it "
            "should fall as the samples get better.",
            _curves("wasserstein", history, {"real − generated": "w_estimate"}, ylabel="score"),
        ),
        *([_transport_chart(history)] if "w1" in history.series else []),
        *([_augmentation_chart(history)] if "augment_p" in history.series else []),
        Chart(
            "Gradient norms",
            "How strong the learning signal is. A generator curve that sinks by orders of "
            "magnitude is a vanishing gradient, one that climbs an exploding one.",
            _curves("gradients", history, {"reaching the generator": "generator_gradient_norm",
                                           "of the critic": "critic_gradient_norm"},
                    ylabel="norm (log scale)", log=True),
        ),
        Chart(
            "Spectral norm of the critic's layers",
            "The largest singular value σ of each layer's kernel matrix. Under spectral "
            "normalization this is the norm of the raw weight, which is divided by it before use; "
            "otherwise it is the factor by which the layer can multiply slopes.",
            _sigma_curves(history.groups["sigma"]),
        ),
    ]  # fmt: skip


def _transport_chart(history: History) -> Chart:
    return Chart(
        "Wasserstein distance, proved",
        "Between 256 real points and 256 generated ones. The critic's bound is its mean score "
        "of the real ones minus that of the generated ones, divided by a proved upper bound "
        "of its Lipschitz constant: it is never above the exact distance, and the closer it "
        "comes, the better the critic (Kantorovich–Rubinstein duality).",
        _curves(
            "transport",
            history,
            {"exact W1": "w1", "the critic's bound": "w1_bound"},
            ylabel="distance",
        ),
    )


def _augmentation_chart(history: History) -> Chart:
    return Chart(
        "Augmentation",
        "The probability p of each transformation. If it is adaptive, it rises while the mean sign "
        "of the critic's scores of real images is over its target, which means that the critic "
        "learns the training images by heart.",
        _curves(
            "augmentation",
            history,
            {"p": "augment_p", "mean sign of real images' scores": "augment_sign"},
            ylabel="",
        ),
    )


def _evaluation(found: dict[str, Series]) -> dict[str, Any] | None:
    """The last evaluation as a table, and all evaluations as curves, a panel for each figure."""
    if not found:
        return None
    panels: dict[str, dict[str, Band]] = {
        name: {"this run": [(step, value, value, value) for step, value in series.points()]}
        for name, series in found.items()
    }
    rows = [(name, f"{one.last[1]:.4g}", f"{one.last[0]:,}") for name, one in found.items()]
    return {
        "table": [("value", "last", "at step"), *rows],
        "svg": bands("evaluation", panels, labels=["this run"], ylabel=""),
    }


def _curves(name: str, history: History, keys: dict[str, str], **options: Any) -> str:
    series = {label: history.series[key] for label, key in keys.items() if key in history.series}
    return curves(name, series, **options) if series else ""


def _sigma_curves(found: dict[str, Series]) -> str:
    names = list(found)
    if len(names) > _LAYERS:
        names = names[:: -(-len(names) // _LAYERS)]
    series = {name: found[name] for name in names}
    return curves("sigma", series, ylabel="σ", smooth=False) if series else ""
