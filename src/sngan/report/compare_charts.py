"""Charts of a comparison: metrics, coverage, Lipschitz constants, spectra, gradients, speed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sngan.report.charts import Chart, bands, intervals, marks, spectra
from sngan.report.comparing import setting_title
from sngan.report.results import Band, CellSummary, ComparisonResult, Spread

_LAYERS = 9

_COLLAPSE = (
    "Each layer's singular values relative to its largest, for the first seed that did not fail. A "
    "curve that drops to zero at once is a layer that has collapsed to a few directions (rank "
    "collapse; Miyato et al. 2018, Figure 3): the critic then sees little of a sample. A level "
    "curve uses all directions."
)


def better(found: ComparisonResult, metric: str) -> str:
    """Whether ``higher`` or ``lower`` values of a metric are better."""
    return "higher" if found.higher_is_better.get(metric) else "lower"


class ComparisonCharts:
    """The charts of a comparison, each from the summary over seeds."""

    def __init__(self, found: ComparisonResult) -> None:
        self._found = found
        self._cells: Sequence[CellSummary] = found.summary
        self._methods = found.methods
        self._settings = list(found.settings)
        self._metric = found.metric

    def all(self) -> list[Chart]:
        """Draw every chart that has data or says that there is none."""
        charts = [self._metrics()]
        if len(self._settings) > 1:
            charts.append(self._robustness())
        charts += [self._covered(), self._lipschitz(), *self._spectra(), self._gradients()]
        if any("w1" in cell.curves for cell in self._cells):
            charts.append(self._wasserstein())
        return [*charts, self._speed()]

    def _title(self, cell: CellSummary) -> str:
        """The title of a cell's panel; where there is one setting, a panel needs none."""
        return setting_title(cell.setting) if len(self._settings) > 1 else ""

    def _metrics(self) -> Chart:
        found = dict.fromkeys(name for cell in self._cells for name in cell.metrics)
        # other figures, such as the error of an estimate, do not rank methods
        names = [name for name in found if name in self._found.higher_is_better]
        names.sort(key=lambda name: name != self._metric)
        arrows = {"higher": "↑", "lower": "↓"}
        panels = {
            f"{name} {arrows[better(self._found, name)]}": self._marks_of(name) for name in names
        }
        return Chart(
            "How good the samples are",
            "After training, each run's samples are compared with the data: the dot is the mean "
            "over seeds, the bar its standard deviation, the faint dots are the seeds. The arrow "
            "says which way is better. Which differences count is tested above.",
            self._drawn("metrics", panels),
        )

    def _robustness(self) -> Chart:
        metric = self._metric
        panels = {"": self._marks_of(metric)} if metric else {}
        return Chart(
            "How much the optimizer's settings matter",
            "The same methods under the settings A–F of Miyato et al. 2018, Table 1 (as in their "
            "Figure 1): learning rate, momentum and critic steps from careful to aggressive. A "
            "robust method stays level; where a dot is missing, every run failed. "
            + (f"{metric}: {better(self._found, metric)} is better." if metric else ""),
            self._drawn("robustness", panels, ylabel=metric or ""),
        )

    def _covered(self) -> Chart:
        coverage = self._found.coverage or "modes"
        return Chart(
            f"{coverage.capitalize()} covered over time",
            f"How many {coverage} of the data the samples reach, at each evaluation; the shade "
            "spans the seeds. A curve that stays low is mode collapse.",
            self._bands("covered", f"evaluation.{coverage}", ylabel=coverage),
        )

    def _lipschitz(self) -> Chart:
        panels: dict[str, dict[str, tuple[float, float]]] = {}
        for cell in self._cells:
            lower, upper = cell.lipschitz.lower, cell.lipschitz.upper
            if lower and upper:
                panel = panels.setdefault(self._title(cell), {})
                panel[cell.method] = (lower, upper)
        return Chart(
            "How steep the critic can be",
            "The Lipschitz constant of the final critic lies between the two ends: the left one "
            "is a slope that was found, the right one is a proved upper bound. The dotted line is "
            "1, the slope that Kantorovich–Rubinstein duality needs. Median over seeds; a critic "
            "without a proved bound is left out.",
            intervals("lipschitz", panels, labels=self._methods) if panels else "",
        )

    def _spectra(self) -> list[Chart]:
        charts: list[Chart] = []
        for setting in self._settings:
            cells = [cell for cell in self._cells if cell.setting == setting]
            layers: dict[str, dict[str, Sequence[float]]] = {}
            for cell in cells:
                for layer in cell.layers:
                    layers.setdefault(layer.name, {})[cell.method] = layer.spectrum
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
        limits = self._found.gradient_limits
        low, high = limits["vanishing"], limits["exploding"]
        return Chart(
            "Gradient that reaches the generator",
            f"Its norm on a log scale: the strength of the learning signal. Below {low:g} "
            f"(shaded) it has vanished and the generator hardly learns; above {high:g} it explodes "
            "and training becomes unstable. A good critic keeps it level; a curve that ends "
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
        panels: dict[str, dict[str, Band]] = {}
        names = {"exact W1": "w1", "critic's estimate": "w_estimate", "proved bound": "w1_bound"}
        labels = list(names)
        for cell in self._cells:
            kept = {label: _from_zero(cell.curves[key], key) for label, key in names.items()
                    if cell.curves.get(key)}  # fmt: skip
            title = " · ".join(filter(None, [cell.method, self._title(cell)]))
            if kept:
                panels[title] = kept
        return Chart(
            "The critic's estimate and the exact distance",
            "Exact W1 between real and generated points (in units of the data), the critic's mean "
            "score of the real ones minus that of the generated ones, and the bound that it "
            "proves after division by its Lipschitz constant. Only the last one is never above W1; "
            "where it is below 0 it proves nothing and is shown as 0. "
            "A critic that is not bounded may report any number: a curve that leaves the "
            "chart claims more than twice the distance.",
            bands("wasserstein", panels, labels=labels, ylabel="distance", against=labels[0])
            if panels
            else "",
        )

    def _speed(self) -> Chart:
        panels = {"": self._marks((cell, cell.seconds_per_step) for cell in self._cells)}
        return Chart(
            "Time for a step",
            "Seconds for one generator step with its critic steps (median over the run), on the "
            "machine of these runs. Methods differ by n_critic above all.",
            self._drawn("speed", panels, ylabel="seconds", from_zero=True),
        )

    def _marks_of(self, metric: str) -> dict[str, dict[str, Spread]]:
        return self._marks((cell, cell.metric(metric)) for cell in self._cells)

    def _marks(self, figures: Iterable[tuple[CellSummary, Spread]]) -> dict[str, dict[str, Spread]]:
        """``{method: {panel title: figure}}`` of the figures that are known."""
        known: dict[str, dict[str, Spread]] = {method: {} for method in self._methods}
        for cell, figure in figures:
            if figure.mean is not None and cell.method in known:
                known[cell.method][self._title(cell)] = figure
        return known

    def _drawn(
        self,
        name: str,
        panels: Mapping[str, Mapping[str, Mapping[str, Spread]]],
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
        panels: dict[str, dict[str, Band]] = {}
        for cell in self._cells:
            if cell.curves.get(key):
                panel = panels.setdefault(self._title(cell), {})
                panel[cell.method] = cell.curves[key]
        return bands(name, panels, labels=self._methods, **options) if panels else ""


def _from_zero(curve: Band, key: str) -> Band:
    """A distance is at least 0, so a proved bound below 0 says no more than 0."""
    if key != "w1_bound":
        return curve
    return [(step, *(max(value, 0.0) for value in values)) for step, *values in curve]
