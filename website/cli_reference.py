"""The reference of the command line, made from the parsers of the commands."""

import argparse
import re

from sngan.cli.main import COMMANDS, parser_of

_GROUP_OF_SETTINGS = re.compile(r"^\w+ \(`\w+\.` may be left out\)")


def page() -> str:
    """Return the Markdown of the page: a section for each command, a table for its flags."""
    lines = [
        "# Command line",
        "",
        "`sngan COMMAND --help` shows the same on a terminal. Exit status: 0 done; 1 failed on the "
        "way; 2 the request was wrong; 130 interrupted, with a checkpoint saved.",
        "",
    ]
    for name, summary in COMMANDS.items():
        lines += _command(name, summary)
    return "\n".join(lines)


def _command(name: str, summary: str) -> list[str]:
    _, parser = parser_of(name)
    lines = [f"## sngan {name}", "", f"{summary[0].upper()}{summary[1:]}.", ""]
    if str(parser.description).strip(". ").lower() != summary.lower():
        lines += [str(parser.description), ""]
    has_settings = False
    rows: list[str] = []
    # argparse has no public list of a parser's arguments
    for group in parser._action_groups:
        if _GROUP_OF_SETTINGS.match(group.title or ""):
            has_settings = True
            continue
        rows += [_row(action) for action in group._group_actions if _is_shown(action)]
    if rows:
        lines += ["| argument | meaning |", "|---|---|", *rows, ""]
    if has_settings:
        lines += ["Every [setting](configuration.md) is a flag as well.", ""]
    return lines


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and "--help" not in action.option_strings


def _row(action: argparse.Action) -> str:
    text = " ".join(str(action.help or "").replace("%(default)s", str(action.default)).split())
    default = action.default
    if default not in (None, False, "", argparse.SUPPRESS) and action.option_strings:
        text += f" (default: `{default}`)"
    return f"| {_spelled(action)} | {_cell(text)} |"


def _spelled(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{(action.metavar or action.dest).upper()}`"
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return ", ".join(f"`{flag}{value}`" for flag in action.option_strings)


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    # jsonargparse writes a backspace before the value of --print_config
    return str(action.metavar or action.dest).lstrip("\b").upper()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
