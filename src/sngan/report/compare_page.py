"""``compare.html``: one self-contained page of runs compared, from saved records only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sngan.report.charts import Chart, Mark, bands, intervals, marks, spectra
from sngan.report.rendering import embedded, write_page
from sngan.utils.checks import require
from sngan.utils.plain import read_json
from sngan.utils.tables import NOTHING, figure, with_spread
from sngan.utils.text import class_and_line

COMPARISON, PAGE = "compare.json", "compare.html"
_LAYERS = 9

_COLLAPSE = (
    "Each layer's singular values relative to its largest, for the first seed that went through. A "
    "curve that drops to zero at once is a layer that has collapsed to a few directions (rank "
    "collapse; Miyato et al. 2018, Figure 3): the critic then sees little of a sample. A level "
    "curve uses all directions."
)

Cell = Mapping[str, Any]


def write_comparison(folder: Path) -> Path:
    """Write ``compare.html`` into a comparison's folder, from its saved records only.

    Raises
    ------
    ValueError
        The folder is no comparison.
    """
    path = folder / COMPARISON
    require(path.is_file(), "out", expected=f"a comparison with {COMPARISON}", got=folder)
    try:
        values = _values(read_json(path), folder)
        return write_page(folder / PAGE, "compare.html", **values)
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        line = f"{class_and_line(error)}"
        raise ValueError(
            f"out: expected {COMPARISON} as sngan writes it, got {path} ({line})"
        ) from error


def _values(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    page = _Page(found)
    return {
        "found": found,
        "facts": page.facts(),
        "table": page.table(),
        "pictures": _pictures(found, folder),
        "crisp": found["is_images"],
        "charts": page.charts(),
        "animations": _animations(found, folder),
        "failures": [run for run in found["runs"] if run["error"]],
        "settings": _settings(found),
        "nothing": "Nothing of it was recorded in these runs.",
        "folder": str(folder),
    }


class _Page:
    """The table and the charts, each from the summary over seeds."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found
        self._cells: list[Cell] = found["summary"]
        self._methods: list[str] = found["methods"]
        self._settings: list[str] = list(found["settings"])
        self._metric: str | None = found["metric"]

    def facts(self) -> list[tuple[str, str]]:
        found, runs = self._found, self._found["runs"]
        seconds = sum(run["seconds"] or 0.0 for run in runs)
        facts = [
            ("methods", ", ".join(self._methods)),
            ("optimizer settings", ", ".join(map(_setting, self._settings))),
            ("seeds", str(len(found["seeds"]))),
            ("generator steps", f"{found['steps']:,}"),
            ("runs", f"{len(runs)}, {sum(bool(run['error']) for run in runs)} failed"),
            ("training time", f"{seconds / 60:.1f} min"),
        ]
        if self._metric:
            facts.append(("main metric", f"{self._metric}, {self._better(self._metric)} is better"))
        return facts

    def table(self) -> list[Sequence[str]]:
        metric, coverage = self._metric, self._found["coverage"]
        names = [name for name in (metric, coverage) if name]
        rows = [
            (
                cell["method"],
                _setting(cell["setting"]),
                *(_figure(cell["metrics"].get(name)) for name in names),
                _interval(cell["lipschitz"]),
                _gradient(cell["gradient"]),
                figure(cell["seconds_per_step"]["mean"]),
                f"{cell['failed']} of {cell['runs']}",
            )
            for cell in self._cells
        ]
        head = ("method", "setting", *names, "Lipschitz constant", "gradient", "s per step")
        return [(*head, "failed"), *rows]

    def charts(self) -> list[Chart]:
        charts = [self._metrics()]
        if len(self._settings) > 1:
            charts.append(self._robustness())
        charts += [self._covered(), self._lipschitz(), *self._spectra(), self._gradients()]
        if any("w1" in cell["curves"] for cell in self._cells):
            charts.append(self._wasserstein())
        return [*charts, self._speed()]

    def _title(self, cell: Cell) -> str:
        """Of a cell's panel: one setting needs none."""
        return _setting(cell["setting"]) if len(self._settings) > 1 else ""

    def _better(self, metric: str) -> str:
        return "higher" if self._found["higher_is_better"].get(metric) else "lower"

    def _metrics(self) -> Chart:
        found = dict.fromkeys(name for cell in self._cells for name in cell["metrics"])
        # others, such as the error of an estimate, are no merit of a method
        names = [name for name in found if name in self._found["higher_is_better"]]
        names.sort(key=lambda name: name != self._metric)
        panels = {f"{name} ({self._better(name)})": self._marks(name) for name in names}
        return Chart(
            "How good the samples are",
            "After training, each run's samples are compared with the data: the dot is the mean "
            "over seeds, the bar its standard deviation, the faint dots are the seeds. The word "
            "in brackets says which way is better. A difference smaller than the bars is none.",
            self._drawn("metrics", panels),
        )

    def _robustness(self) -> Chart:
        metric = self._metric
        panels = {"": self._marks(metric)} if metric else {}
        return Chart(
            "How much the optimizer's settings matter",
            "The same methods under the settings A–F of Miyato et al. 2018, Table 1 (as in their "
            "Figure 1): learning rate, momentum and critic steps from careful to aggressive. A "
            "robust method stays level; a place without a dot is one where every run failed. "
            + (f"{metric}: {self._better(metric)} is better." if metric else ""),
            self._drawn("robustness", panels, ylabel=metric or ""),
        )

    def _covered(self) -> Chart:
        coverage = self._found["coverage"] or "modes"
        return Chart(
            f"{coverage.capitalize()} covered over time",
            f"How many {coverage} of the data the samples reach, at each evaluation; the shade "
            "spans the seeds. A curve that stays low is mode collapse.",
            self._bands("covered", f"evaluation.{coverage}", ylabel=coverage),
        )

    def _lipschitz(self) -> Chart:
        panels: dict[str, dict[str, tuple[float, float]]] = {}
        for cell in self._cells:
            lower, upper = (cell["lipschitz"][key] for key in ("lower", "upper"))
            if lower and upper:
                panel = panels.setdefault(self._title(cell), {})
                panel[cell["method"]] = (lower, upper)
        return Chart(
            "How steep the critic can be",
            "The Lipschitz constant of the final critic lies between the two ends: the left one "
            "is a slope that was found, the right one is proved never to be exceeded. Dotted: 1, "
            "what Kantorovich–Rubinstein duality asks for. Median over seeds; a critic without a "
            "proved bound is left out.",
            intervals("lipschitz", panels, labels=self._methods) if panels else "",
        )

    def _spectra(self) -> list[Chart]:
        charts: list[Chart] = []
        for setting in self._settings:
            cells = [cell for cell in self._cells if cell["setting"] == setting]
            layers: dict[str, dict[str, Sequence[float]]] = {}
            for cell in cells:
                for layer in cell["layers"]:
                    layers.setdefault(layer["name"], {})[cell["method"]] = layer["spectrum"]
            # a layer with one singular value has no shape to show
            shown = {name: by for name, by in layers.items() if max(map(len, by.values())) > 1}
            stride = -(-len(shown) // _LAYERS) or 1
            picked = dict(list(shown.items())[::stride])
            of = f" (setting {setting})" if len(self._settings) > 1 else ""
            charts.append(
                Chart(
                    f"Singular values of the critic's layers{of}",
                    _COLLAPSE if not charts else f"The same under setting {setting}.",
                    spectra(f"spectra-{setting}", picked, labels=self._methods) if picked else "",
                )
            )
        return charts

    def _gradients(self) -> Chart:
        limits = self._found["gradient_limits"]
        low, high = limits["vanishing"], limits["exploding"]
        return Chart(
            "Gradient that reaches the generator",
            f"Its norm on a log scale: the strength of the learning signal. Below {low:g} "
            f"(shaded) it has vanished and the generator stands still; above {high:g} it explodes "
            "and throws the generator about. A good critic keeps it level; a curve that ends "
            "early is a run that failed.",
            self._bands(
                "gradients",
                "generator_gradient_norm",
                ylabel="gradient norm (log scale)",
                log=True,
                limits=(low, high),
            ),
        )

    def _wasserstein(self) -> Chart:
        panels: dict[str, dict[str, Sequence[Sequence[float]]]] = {}
        names = {"exact W1": "w1", "critic's estimate": "w_estimate", "proved bound": "w1_bound"}
        labels = list(names)
        for cell in self._cells:
            kept = {label: cell["curves"][key] for label, key in names.items()
                    if cell["curves"].get(key)}  # fmt: skip
            title = " · ".join(filter(None, [cell["method"], self._title(cell)]))
            if kept:
                panels[title] = kept
        return Chart(
            "The critic's estimate and the exact distance",
            "Exact W1 between real and generated points (in units of the data), the critic's mean "
            "score of the real ones minus that of the generated ones, and the bound that it "
            "proves after division by its Lipschitz constant. Only the last can be trusted never "
            "to lie above W1. A critic that is not bounded reports any number: a curve that leaves "
            "the chart claims more than twice the distance.",
            bands("wasserstein", panels, labels=labels, ylabel="distance", against=labels[0])
            if panels
            else "",
        )

    def _speed(self) -> Chart:
        marks_of = {
            method: {
                self._title(cell): _mark(cell["seconds_per_step"])
                for cell in self._cells
                if cell["method"] == method and cell["seconds_per_step"]["mean"] is not None
            }
            for method in self._methods
        }
        panels = {"": marks_of} if any(marks_of.values()) else {}
        return Chart(
            "Time for a step",
            "Seconds for one generator step with its critic steps (median over the run), on the "
            "machine of these runs. Methods differ by n_critic above all.",
            self._drawn("speed", panels, ylabel="seconds", from_zero=True),
        )

    def _marks(self, metric: str) -> dict[str, dict[str, Mark]]:
        return {
            method: {
                self._title(cell): _mark(cell["metrics"][metric])
                for cell in self._cells
                if cell["method"] == method
                and (cell["metrics"].get(metric) or {}).get("mean") is not None
            }
            for method in self._methods
        }

    def _drawn(
        self,
        name: str,
        panels: Mapping[str, Mapping[str, Mapping[str, Mark]]],
        *,
        ylabel: str = "",
        from_zero: bool = False,
    ) -> str:
        kept = {title: panel for title, panel in panels.items() if any(panel.values())}
        if not kept:
            return ""
        places = list(dict.fromkeys(self._title(cell) for cell in self._cells))
        return marks(
            name, kept, labels=self._methods, places=places, ylabel=ylabel, from_zero=from_zero
        )

    def _bands(self, name: str, key: str, **options: Any) -> str:
        panels: dict[str, dict[str, Sequence[Sequence[float]]]] = {}
        for cell in self._cells:
            if cell["curves"].get(key):
                panel = panels.setdefault(self._title(cell), {})
                panel[cell["method"]] = cell["curves"][key]
        return bands(name, panels, labels=self._methods, **options) if panels else ""


def _pictures(found: Mapping[str, Any], folder: Path) -> list[dict[str, str]]:
    named = {
        f"{cell['method']} · {_setting(cell['setting'])}": embedded(folder, cell["samples"])
        for cell in found["summary"]
        if cell["samples"]
    }
    return [{"title": title, "uri": uri} for title, uri in named.items() if uri is not None]


def _animations(found: Mapping[str, Any], folder: Path) -> list[dict[str, str]]:
    """The animations whose two files are there."""
    return [
        {"method": method, "gif": gif, "strip": strip}
        for method, files in found["animations"].items()
        if (gif := embedded(folder, files["gif"])) and (strip := embedded(folder, files["strip"]))
    ]


def _settings(found: Mapping[str, Any]) -> list[Sequence[str]]:
    rows = [
        (name, f"{s['lr']:g}", f"{s['betas'][0]:g}", f"{s['betas'][1]:g}", str(s["n_critic"]))
        for name, s in found["settings"].items()
        if s
    ]
    return [("setting", "learning rate", "β1", "β2", "n_critic"), *rows] if rows else []


def _setting(name: str) -> str:
    return "own settings" if name == "own" else name


def _mark(figure: Mapping[str, Any]) -> Mark:
    return Mark(figure["mean"], figure["spread"], figure["values"])


def _figure(found: Mapping[str, Any] | None) -> str:
    return with_spread(found["mean"], found["spread"]) if found else NOTHING


def _interval(bounds: Mapping[str, float | None]) -> str:
    lower, upper = bounds["lower"], bounds["upper"]
    return "–" if lower is None else f"{lower:.3g} to {'∞' if upper is None else f'{upper:.3g}'}"


def _gradient(figures: Mapping[str, float | None]) -> str:
    """The median norm, and what happened to it in more than a tenth of the records."""
    words = [word for word in ("vanishing", "exploding") if (figures[word] or 0.0) > 0.1]
    return " ".join([figure(figures["median"]), *words])
