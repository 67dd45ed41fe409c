"""Model card: the facts about a generator, as Markdown in the format of the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sngan.utils.plain import to_yaml

LIMITS = (
    "The generator makes samples like those of its training data, with the gaps and biases of "
    "that data, and may repeat single training samples. Nothing here says who may use the data "
    "or the samples: ask the person who trained it."
)
"""A sentence about every generator."""


@dataclass(frozen=True)
class Card:
    """The facts of a model card, for Markdown and for a page.

    Attributes
    ----------
    name
        The name of the model.
    summary
        One sentence.
    facts
        Names and values of the training.
    metrics
        Names, values and meanings of the last evaluation.
    measured
        The conditions of the evaluation.
    use
        Commands and Python that use the model.
    header
        The values of the YAML header.
    """

    name: str
    summary: str
    facts: list[tuple[str, str]]
    metrics: list[tuple[str, str, str]]
    measured: str
    use: list[str]
    header: dict[str, Any]

    def markdown(self, *, picture: str | None = None) -> str:
        """Return the card as Markdown; ``picture`` is a file with samples beside it."""
        shown = [] if picture is None else [f"![samples]({picture})", ""]
        parts = [
            *("---", to_yaml(self.header).rstrip(), "---", "", f"# {_escaped(self.name)}", ""),
            *(_escaped(self.summary), "", *shown, "## Use", "", "```", *self.use, "```", ""),
            *("## Training", "", *_table(("setting", "value"), self.facts), ""),
        ]
        if self.metrics:
            table = _table(("metric", "value", "meaning"), self.metrics)
            parts += ["## Evaluation", "", _escaped(self.measured), "", *table, ""]
        return "\n".join([*parts, "## Limits", "", LIMITS, ""])


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in (heading, *rows)]
    return [lines[0], "|---" * len(heading) + "|", *lines[1:]]


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is: a name may hold signs of markup."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#!" else sign for sign in text)
