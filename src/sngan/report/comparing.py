"""Fairness of a comparison, for table and page: what each method spent, which differences count."""

from collections.abc import Sequence

from sngan.report.results import CellSummary, ComparisonResult
from sngan.report.significance import LEVEL, Difference, differences
from sngan.utils.tables import NOTHING, format_number

Rows = list[Sequence[str]]


def setting_title(name: str) -> str:
    """The name of an optimizer setting for people."""
    return "own settings" if name == "own" else name


def budget(found: ComparisonResult) -> str:
    """Return the budget that each method got, in words."""
    steps = f"{found.steps:,}"
    return {
        "steps": f"{steps} generator steps",
        "critic-steps": f"{steps} critic steps",
        "seconds": f"the time that {found.reference} needs for {steps} generator steps",
    }.get(found.same_budget, f"{steps} steps")


def spent(found: ComparisonResult) -> Rows:
    """A table of what each method spent, and of the settings that decide what a step is."""
    head = ("method", "setting", "steps", "critic steps", "batch", "CPU s", "s/step", "loss",
            "penalty", "lr", "critic lr")  # fmt: skip
    return [head, *(_spent(cell) for cell in found.summary)]


def compared_pairs(found: ComparisonResult) -> Rows:
    """A table of the tests of the main metric; no row without a pair."""
    several = len(found.settings) > 1
    head = ("methods", *(["setting"] if several else []),
            f"difference in {found.metric} (95 % interval)", "p", "result")  # fmt: skip
    rows = [
        (
            f"{one.left} − {one.right}",
            *([setting_title(one.setting)] if several else []),
            one.interval,
            one.p_value,
            one.verdict,
        )
        for one in tested(found)
    ]
    return [head, *rows] if rows else []


def tested(found: ComparisonResult) -> list[Difference]:
    """Test the main metric between each pair of methods that have seeds with a value."""
    name = found.metric
    if name is None or name not in found.higher_is_better:
        return []
    values = {
        (cell.method, cell.setting): known
        for cell in found.summary
        if (known := cell.metric(name).values)
    }
    return differences(values, higher_is_better=found.higher_is_better[name])


def significance(found: ComparisonResult) -> str:
    """How the differences were tested, or why nothing can be said about them."""
    if len(found.methods) < 2:
        return "One method: there is no difference to test."
    if len(found.seeds) < 2:
        return (
            "One seed for each method: nothing can be said about differences, because another seed "
            "may turn them round (--seeds 3 or more)."
        )
    count = sum(one.p is not None for one in tested(found))
    pairs = "one pair" if count == 1 else f"{count} pairs"
    return (
        f"Welch's t-test over seeds; p-values corrected by Holm's method for {pairs}; a difference "
        f"counts below {LEVEL:g}. Not decided does not mean equal: more seeds may show more."
    )


def _spent(cell: CellSummary) -> Sequence[str]:
    one = cell.effort
    cpu, step = (format_number(figure.mean) for figure in (cell.cpu_seconds, cell.seconds_per_step))
    if one is None:
        unknown = [NOTHING] * 4
        return cell.method, setting_title(cell.setting), *unknown[:3], cpu, step, *unknown
    return (
        cell.method,
        setting_title(cell.setting),
        f"{one.steps:,}",
        f"{one.critic_steps:,}",
        str(one.batch_size),
        cpu,
        step,
        one.loss,
        one.penalty,
        one.lr,
        one.lr_critic,
    )
