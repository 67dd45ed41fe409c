"""Results of a comparison: rows of single runs, their summary over seeds, and ``compare.json``.

Each class has the fields of the JSON object that it is read from and written to, in their order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import mean, median, stdev
from typing import Any, TypeVar

from sngan.report.effort import Effort
from sngan.report.learning import Learning
from sngan.utils.plain import finite
from sngan.utils.tables import NOTHING, format_spread

Curve = Sequence[tuple[float, float]]
"""``(step, value)`` of one run."""
Band = Sequence[Sequence[float]]
"""``(step, median, lowest, highest)`` over seeds."""

MODE_FIGURES = ("high_quality", "reverse_kl", "smallest_share")
"""The figures that published tables about mixtures have beside the number of modes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Gradient:
    """The norm of the gradient that reached the generator.

    ``median`` is over the records; ``vanishing`` and ``exploding`` are the shares of records whose
    norm was outside the limits.
    """

    median: float | None
    vanishing: float | None
    exploding: float | None


@dataclass(frozen=True)
class LayerNorm:
    """A layer of a critic as ``measured.json`` has it; see ``sngan.lipschitz.LayerBound``."""

    name: str
    kind: str = ""
    sigma: float | None = None
    method: str = ""
    share: float = 0.0
    spectrum: Sequence[float] = ()


@dataclass(frozen=True)
class CriticBounds:
    """Bounds of the Lipschitz constant of a critic; None is an infinite bound."""

    lower: float | None
    upper: float | None
    method: str = ""
    layers: Sequence[LayerNorm] = ()
    reasons: Sequence[str] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CriticBounds":
        """Read the object ``lipschitz`` of a row."""
        layers = [from_fields(LayerNorm, layer) for layer in values["layers"]]
        return from_fields(cls, {**values, "layers": layers})


@dataclass(frozen=True)
class Evaluation:
    """The figures of a finished run's samples, and the bounds of its critic."""

    model: str
    is_images: bool
    evaluation: Mapping[str, float | None]
    extractor: str
    n_generated: int
    n_real: int
    lipschitz: CriticBounds


@dataclass(frozen=True)
class RunResult:
    """One run of a comparison: its place in the plan, its records, its evaluation.

    ``error`` says why a run failed; such a run has no evaluation. ``learning`` is None where the
    curves no longer fall.
    """

    method: str
    setting: str
    seed: int
    folder: str
    error: str | None = None
    steps_done: int = 0
    seconds: float | None = None
    cpu_seconds: float | None = None
    seconds_per_step: float | None = None
    effort: Effort | None = None
    gradient: Gradient | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    samples: str | None = None
    learning: Learning | None = None
    evaluated: Evaluation | None = None

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The figures of the run's samples; empty where the run failed."""
        return self.evaluated.evaluation if self.evaluated else {}

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values; the fields of the evaluation are in the row itself."""
        row = finite(asdict(self))
        return row | (row.pop("evaluated") or {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunResult":
        """Read a row of :meth:`to_dict`; fields that the page does not show may be missing."""
        row: dict[str, Any] = {"setting": "", "seed": 0, **values}
        gradient = row.get("gradient")
        row["gradient"] = from_fields(Gradient, gradient) if gradient else None
        row["learning"] = _learning(row)
        row["effort"] = from_fields(Effort, row["effort"]) if row.get("effort") else None
        if "lipschitz" in row:
            lipschitz = CriticBounds.from_dict(row["lipschitz"])
            row["evaluated"] = from_fields(Evaluation, {**row, "lipschitz": lipschitz})
        return from_fields(cls, row)


@dataclass(frozen=True)
class Spread:
    """The mean of a figure over seeds, its sample standard deviation, and the seeds' values.

    The mean is None if no seed has the figure, the deviation if fewer than two have it.
    """

    mean: float | None
    spread: float | None
    values: Sequence[float]

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread":
        """Bring together the values that are known."""
        known = [value for value in values if value is not None]
        return cls(
            mean(known) if known else None, stdev(known) if len(known) > 1 else None, values=known
        )

    def __str__(self) -> str:
        return format_spread(self.mean, self.spread)


@dataclass(frozen=True)
class Interval:
    """The median bounds of the Lipschitz constant; None is an infinite bound."""

    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class LayerSpectrum:
    """A layer's norm, and its singular values relative to the largest."""

    name: str
    sigma: float | None
    spectrum: Sequence[float]


@dataclass(frozen=True)
class CellSummary:
    """The seeds of one method under one setting, brought together: a cell of the table."""

    method: str
    setting: str
    runs: int
    failed: int
    metrics: Mapping[str, Spread]
    lipschitz: Interval
    layers: Sequence[LayerSpectrum]
    gradient: Gradient
    seconds_per_step: Spread
    curves: Mapping[str, Band]
    samples: str | None
    learning: Learning | None = None
    effort: Effort | None = None
    cpu_seconds: Spread = Spread(None, None, ())

    @property
    def remark(self) -> str:
        """A remark for the row: whether the method still learns at the end."""
        return str(self.learning or NOTHING)

    def metric(self, name: str | None) -> Spread:
        """The figure of this name; an empty one where no seed has it."""
        return self.metrics.get(name or "") or Spread.of([])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CellSummary":
        """Read a cell of ``compare.json``."""
        return from_fields(
            cls,
            {
                **values,
                "metrics": {
                    name: from_fields(Spread, one) for name, one in values["metrics"].items()
                },
                "lipschitz": from_fields(Interval, values["lipschitz"]),
                "layers": [from_fields(LayerSpectrum, layer) for layer in values["layers"]],
                "gradient": from_fields(Gradient, values["gradient"]),
                "seconds_per_step": from_fields(Spread, values["seconds_per_step"]),
                "learning": _learning(values),
                "effort": from_fields(Effort, values["effort"]) if values.get("effort") else None,
                "cpu_seconds": from_fields(Spread, values["cpu_seconds"])
                if values.get("cpu_seconds")
                else Spread.of([]),
            },
        )


@dataclass(frozen=True)
class ComparisonResult:
    """Everything that ``compare.json`` holds: every number behind every chart of the page.

    ``settings`` has the optimizer's values of each named setting; ``metric`` is the figure that
    ranks the methods, ``coverage`` the one that counts modes or classes. ``same_budget`` is what
    all methods spent; if it is time, ``reference`` is the method that has ``steps``.
    """

    data: str
    model: str
    is_images: bool
    steps: int
    batch_size: int
    methods: Sequence[str]
    settings: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int]
    metric: str | None
    coverage: str | None
    higher_is_better: Mapping[str, bool]
    extractor: str | None
    n_generated: int | None
    n_real: int | None
    gradient_limits: Mapping[str, float]
    summary: Sequence[CellSummary]
    runs: Sequence[RunResult]
    animations: Mapping[str, Mapping[str, str]]
    same_budget: str = "steps"
    reference: str = ""

    @property
    def columns(self) -> list[str]:
        """The figures that the table shows: the main one, then those of modes or classes."""
        found = dict.fromkeys(name for cell in self.summary for name in cell.metrics)
        names = [self.metric, self.coverage, *(name for name in MODE_FIGURES if name in found)]
        return [name for name in names if name]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``compare.json`` holds, as plain values."""
        return finite(asdict(self) | {"runs": [run.to_dict() for run in self.runs]})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ComparisonResult":
        """Read the contents of ``compare.json``.

        Raises
        ------
        LookupError, TypeError, AttributeError
            If a key is missing or a value is of another form.
        """
        summary = [CellSummary.from_dict(cell) for cell in values["summary"]]
        runs = [RunResult.from_dict(run) for run in values["runs"]]
        return from_fields(cls, {**values, "summary": summary, "runs": runs})


def _learning(values: Mapping[str, Any]) -> Learning | None:
    found = values.get("learning")
    return from_fields(Learning, found) if found else None


def median_if_all(values: Iterable[float | None]) -> float | None:
    """The median; None (unknown or infinite) as soon as one of the values is None."""
    found = list(values)
    known = [value for value in found if value is not None]
    return median(known) if known and len(known) == len(found) else None


def from_fields(kind: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from the values of its fields; keys of other names are ignored.

    Raises
    ------
    TypeError
        If a field without a default is missing.
    """
    names = {one.name for one in fields(kind)}  # pyright: ignore[reportArgumentType]
    return kind(**{key: value for key, value in values.items() if key in names})
