"""``report.html``: one self-contained page that a person who did not train the run can read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sngan._checks import require
from sngan.records import read_metrics
from sngan.report.charts import Band, Chart, Points, bands, curves
from sngan.report.rendering import embedded, write_page

_FRAMES = 8
_LAYERS = 24


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from its saved records only.

    Raises
    ------
    ValueError
        The folder is no run.
    """
    import yaml

    path = folder / "config.yaml"
    require(path.is_file(), "run", expected="a run folder with config.yaml", got=folder)
    settings: dict[str, Any] = yaml.safe_load(path.read_text())
    records = read_metrics(folder)
    skipped = folder / "skipped.txt"
    return write_page(
        folder / "report.html",
        "run.html",
        headline=_headline(settings),
        facts=_facts(settings, records),
        frames=_frames(folder / "samples"),
        crisp=len((settings.get("model") or {}).get("sample_shape") or ()) == 3,
        charts=_charts(records),
        nothing="No records of it in this run.",
        evaluation=_evaluation(records),
        skipped=skipped.read_text().splitlines() if skipped.exists() else [],
        settings=_flat(settings),
        folder=str(folder),
    )


def _headline(settings: dict[str, Any]) -> dict[str, str]:
    data, method, model = (settings.get(key) or {} for key in ("data", "method", "model"))
    return {
        "source": str(data.get("source", "unknown data")),
        "method": str(method.get("name", "unknown")),
        "constraint": _constraint(method),
        "paper": str(method.get("paper", "")),
        "model": str(model.get("name", "unknown")),
    }


def _constraint(method: dict[str, Any]) -> str:
    """In words, what keeps the critic's slope in bounds."""
    parts: list[str] = []
    if method.get("spectral_norm", "none") != "none":
        parts.append(f"every layer's spectral norm is kept at {method.get('coefficient', 1.0):g}")
    if method.get("clip"):
        parts.append(f"every weight is clipped to ±{method['clip']:g}")
    if method.get("penalty", "none") != "none":
        parts.append(f"the {method['penalty']} gradient penalty pulls its slope towards a target")
    return " and ".join(parts) or "nothing bounds its slope"


def _facts(settings: dict[str, Any], records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    facts = [("steps asked for", f"{settings.get('steps', '?')}")]
    if not records:
        return facts
    # evaluations are records of their own, without a time
    last = next((record for record in reversed(records) if "seconds" in record), records[-1])
    facts = [("steps", f"{last['step']:,} of {settings.get('steps', '?'):,}")]
    if "seconds" in last:
        facts.append(("time", _duration(last["seconds"])))
        facts.append(("steps per second", f"{last['step'] / max(last['seconds'], 1e-9):.3g}"))
    sigmas = [value for value in (last.get("sigma") or {}).values() if value is not None]
    if last.get("w_estimate") is not None:
        facts.append(("last W estimate", f"{last['w_estimate']:.3g}"))
    if sigmas:
        facts.append(("largest σ of a layer", f"{max(sigmas):.3g}"))
    return facts


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _frames(folder: Path) -> list[dict[str, str]]:
    """At most eight pictures: the first, the last, and more of the early ones between."""
    paths = sorted(folder.glob("step-*.png"))
    if len(paths) > _FRAMES:
        last = len(paths) - 1
        places = {0, *(round(last ** (k / (_FRAMES - 2))) for k in range(_FRAMES - 1))}
        paths = [paths[place] for place in sorted(places)]
    return [
        {
            "step": f"{int(path.stem.removeprefix('step-')):,}",
            "uri": embedded(path),
        }
        for path in paths
    ]


def _charts(records: list[dict[str, Any]]) -> list[Chart]:
    return [
        Chart(
            "Losses",
            "In a healthy run neither runs away: the two networks keep each other in check. "
            "The height of a GAN's losses says little about the quality of its samples.",
            _curves("losses", records, {"critic": "critic_loss", "generator": "generator_loss"}
                    | ({"penalty": "penalty"} if _has(records, "penalty") else {}),
                    ylabel="loss"),
        ),
        Chart(
            "Wasserstein estimate",
            "The critic's mean score of real samples minus that of generated ones. With a critic "
            "of bounded slope it estimates, up to that bound, how far apart the two are: it "
            "should fall as the samples get better.",
            _curves("wasserstein", records, {"real − generated": "w_estimate"}, ylabel="score"),
        ),
        *([_transport_chart(records)] if _has(records, "w1") else []),
        Chart(
            "Gradient norms",
            "How strong the learning signal is. A generator curve that sinks by orders of "
            "magnitude is a vanishing gradient, one that climbs an exploding one.",
            _curves("gradients", records, {"reaching the generator": "generator_gradient_norm",
                                           "of the critic": "critic_gradient_norm"},
                    ylabel="norm (log scale)", log=True),
        ),
        Chart(
            "Spectral norm of the critic's layers",
            "The largest singular value σ of each layer's kernel matrix. Under spectral "
            "normalization this is the raw weight's, by which it is divided before use; "
            "otherwise it is what the layer multiplies slopes by.",
            _sigma_curves(records),
        ),
    ]  # fmt: skip


def _transport_chart(records: list[dict[str, Any]]) -> Chart:
    return Chart(
        "Wasserstein distance, proved",
        "Between 256 real points and 256 generated ones. The critic's bound is its mean score "
        "of the real ones minus that of the generated ones, divided by a proved upper bound "
        "of its Lipschitz constant: it can never lie above the exact distance, and the closer "
        "it comes, the better the critic (Kantorovich–Rubinstein duality).",
        _curves(
            "transport",
            records,
            {"exact W1": "w1", "the critic's bound": "w1_bound"},
            ylabel="distance",
        ),
    )


def _evaluation(records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last evaluation as a table, and all of them as curves, a panel for each value."""
    flat = [{"step": r["step"], **r["evaluation"]} for r in records if r.get("evaluation")]
    names = list(dict.fromkeys(key for record in flat for key in record if key != "step"))
    found = {name: _series(flat, name) for name in names if _has(flat, name)}
    if not found:
        return None
    panels: dict[str, dict[str, Band]] = {
        name: {"this run": [(step, value, value, value) for step, value in series]}
        for name, series in found.items()
    }
    rows = [(name, f"{series[-1][1]:.4g}", f"{series[-1][0]:,}") for name, series in found.items()]
    return {
        "table": [("value", "last", "at step"), *rows],
        "svg": bands("evaluation", panels, labels=["this run"], ylabel=""),
    }


def _has(records: list[dict[str, Any]], key: str) -> bool:
    return any(record.get(key) is not None for record in records)


def _curves(name: str, records: list[dict[str, Any]], keys: dict[str, str], **options: Any) -> str:
    series = {label: _series(records, key) for label, key in keys.items() if _has(records, key)}
    return curves(name, series, **options) if series else ""


def _series(records: Sequence[dict[str, Any]], key: str) -> Points:
    return [(r["step"], r[key]) for r in records if r.get(key) is not None]


def _sigma_curves(records: list[dict[str, Any]]) -> str:
    flat = [{"step": record["step"], **(record.get("sigma") or {})} for record in records]
    names = list(dict.fromkeys(key for record in flat for key in record if key != "step"))
    if len(names) > _LAYERS:
        names = names[:: -(-len(names) // _LAYERS)]
    series = {name: _series(flat, name) for name in names if _has(flat, name)}
    return curves("sigma", series, ylabel="σ", smooth=False) if series else ""


def _flat(settings: dict[str, Any], *, prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, dict):
            rows += _flat(value, prefix=f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
