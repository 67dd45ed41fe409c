"""Command ``sngan methods``: the methods, losses and penalties, with a line each."""

import inspect
import re
from typing import Any

from sngan.cli.output import JSON_HELP, print_result
from sngan.cli.parser import CommandParser
from sngan.losses import LOSSES
from sngan.methods import METHODS
from sngan.methods.description import constraint
from sngan.penalties import PENALTIES
from sngan.utils.tables import text_table

DESCRIPTION = (
    "List the methods of `sngan train --method`, with the critic's loss, the constraint on the "
    "critic, its steps for each step of the generator, and the source. Values are those for "
    "images. Each part can be changed by a flag: --loss, --penalty, --n_critic ..."
)

_PAPER = re.compile(r"[A-Z]\w+(, [A-Z]\w+)*( et al\.)? \d{4}, arXiv:\d{4}\.\d{4,5}")


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan methods``."""
    parser.flag("--json", str, JSON_HELP, default=None)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan methods``."""
    rows: dict[str, dict[str, Any]] = {
        name: {
            "loss": method.loss,
            "constraint": constraint(method),
            "steps": int(method.n_critic),
            "source": method.paper,
        }
        for name, method in METHODS.items()
    }
    penalties = {name: _first_line(penalty) for name, penalty in PENALTIES.items()}
    heading = ("method", "critic's loss", "constraint of the critic", "steps", "source")
    shown = {name: {**row, "source": _first_source(row["source"])} for name, row in rows.items()}
    table = [(name, *map(str, row.values())) for name, row in shown.items()]
    lines = [
        text_table([heading, *table], right=[3], rule=True),
        "",
        f"losses (--loss): {', '.join(LOSSES)}",
        "",
        text_table([("penalty", "formula (--penalty)"), *penalties.items()], rule=True),
    ]
    data = {"methods": rows, "losses": list(LOSSES), "penalties": penalties}
    print_result(data, "\n".join(lines), json_to=values["json"])


def _first_source(paper: str) -> str:
    """Return the first paper in a text: authors, year and number."""
    found = _PAPER.search(paper)
    return found[0] if found else paper


def _first_line(found: object) -> str:
    """Return the first line of a docstring without its markup."""
    return (inspect.getdoc(found) or "–").splitlines()[0].replace("``", "")
