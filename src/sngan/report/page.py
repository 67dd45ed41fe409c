"""Report ``report.html``: one self-contained page for people who did not train the run."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sngan import config as configs
from sngan import health
from sngan.report.evaluations import best_of, evaluated, over_time, real_against_real
from sngan.report.history import History, Record
from sngan.report.rendering import embedded, write_page
from sngan.report.run_charts import KEYS, WASSERSTEIN, run_charts
from sngan.runs.evaluations import iter_evaluations
from sngan.runs.layout import RunFolder
from sngan.runs.model_file import without_folders
from sngan.runs.records import iter_records
from sngan.runs.saved_grids import saved_grids
from sngan.utils.checks import require
from sngan.utils.fields import is_off
from sngan.utils.plain import flatten, read_yaml
from sngan.utils.text import first_line, path_word

_FRAMES = 8
_RELOAD_SECONDS = 20
_LONGEST_TEXT = 2**20


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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sngan.config import Config, save
    >>> from sngan.report import write_report
    >>> with TemporaryDirectory() as folder:
    ...     save(Config(data="ring8"), Path(folder) / "config.yaml")
    ...     write_report(Path(folder)).name
    'report.html'
    """
    path = RunFolder(folder).config
    require(path.is_file(), "run", expected="a run folder with config.yaml", got=folder)
    settings = _settings(path)
    judged = health.History()
    records = _also_to(judged, iter_records(folder))
    history = History(records, keys=KEYS, groups=("sigma", "evaluation"))
    results = list(iter_evaluations(folder))
    return write_page(
        RunFolder(folder).report,
        "run.html",
        headline=_headline(settings),
        facts=_facts(settings, history),
        health=_health(judged, path),
        pair=_pair(folder),
        frames=_frames(folder),
        crisp=_is_of_images(settings),
        charts=run_charts(history, loss=_group(settings, "method").get("loss")),
        nothing="This run recorded none of these values.",
        evaluation=over_time(
            history.groups["evaluation"],
            preferred=_main_metrics(settings),
            real=real_against_real(results),
        ),
        results=evaluated(results),
        potentials=embedded(folder, f"{RunFolder.LIPSCHITZ}/potentials.png"),
        skipped=_lines(RunFolder(folder).skipped),
        settings=[(key, str(value)) for key, value in flatten(settings).items()],
        folder=path_word(str(folder)),
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
        "source": without_folders(str(data.get("source", "unknown data"))),
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
    loss = _group(settings, "method").get("loss")
    if loss == WASSERSTEIN and "w_estimate" in history.series:
        facts.append(("last W estimate", f"{history.series['w_estimate'].last[1]:.3g}"))
    found = history.groups["evaluation"]
    main = next((name for name in _main_metrics(settings) if name in found), None)
    if main and (best := best_of(found[main], main)):
        facts.append((f"best {main}", f"{best[1]:.3g} at step {best[0]:,}"))
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


def _main_metrics(settings: dict[str, Any]) -> list[str]:
    """The metrics that decide which step is the best, the chosen one first."""
    chosen = _group(settings, "evaluation").get("best")
    return [str(chosen), *(("frechet", "w1") if _is_of_images(settings) else ("w1", "frechet"))]


def _pair(folder: Path) -> list[dict[str, str]]:
    """The pictures of real samples and of the last generated ones, if both are there."""
    run, names = RunFolder(folder), saved_grids(folder)
    real = embedded(folder, run.REAL_SAMPLES)
    last = embedded(folder, names[-1][1]) if names else None
    if real is None or last is None:
        return []
    step = f"generated, step {names[-1][0]:,}"
    return [{"title": "real", "uri": real}, {"title": step, "uri": last}]


def _frames(folder: Path) -> list[dict[str, str]]:
    """At most eight pictures: the first, the last, and more early than late ones between."""
    names = saved_grids(folder)
    if len(names) > _FRAMES:
        last = len(names) - 1
        places = {0, *(round(last ** (k / (_FRAMES - 2))) for k in range(_FRAMES - 1))}
        names = [names[place] for place in sorted(places)]
    frames = [(step, embedded(folder, name)) for step, name in names]
    return [{"step": f"{step:,}", "uri": uri} for step, uri in frames if uri is not None]
