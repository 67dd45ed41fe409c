"""Parser of a command's flags, whose errors are one line: flag, expected value, given value."""

import difflib
import re
import shutil
import textwrap
from argparse import ArgumentError, HelpFormatter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin

from jsonargparse import ArgumentParser

from sngan.utils.text import on_one_line

_SHORTEST_LINE = 12


class CommandParser(ArgumentParser):
    """Parses the flags of ``sngan NAME`` into a nested dictionary."""

    def __init__(self, name: str, *, description: str) -> None:
        super().__init__(
            prog=f"sngan {name}",
            description=description,
            exit_on_error=False,
            # "--resum" would be read as "--resume" only after the run's settings were looked up
            allow_abbrev=False,
        )
        self._kinds: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._switches: list[str] = []
        self._positional: list[str] = []
        self._groups: dict[str, Any] = {}
        # {flag with its value: text}: the flags that most people need, shown first in the help
        self.common: Mapping[str, str] = {}
        # settings have short forms; an unknown flag may be a wrong short name
        self.expand: Callable[[Sequence[str]], list[str]] = list
        self.short_names: Mapping[str, str] = {}

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Return the help: the common flags, then all others.

        "default: null" is left out, because it says nothing about an absent flag.
        """
        if self.common:
            # the usage would have all flags, before anything else
            self.usage = f"{self.prog} [FLAG ...]"
        text = re.sub(r",\s+default:\s+null\)", ")", super().format_help(formatter))
        if not self.common:
            return text
        end = text.index("\n\n", text.index(str(self.description)[:_SHORTEST_LINE])) + 2
        return f"{text[:end]}{_block('common flags', self.common)}\n{text[end:]}"

    def positional_names(self) -> list[str]:
        """Return the names of the arguments without dashes."""
        return list(self._positional)

    def known_flags(self) -> dict[str, Any]:
        """Return all flags with dashes and the types of their values; None for a switch."""
        kinds = dict(self._kinds)
        for short, name in self.short_names.items():
            kinds.setdefault(short, kinds.get(name))
        named = {f"--{name}": kind for name, kind in kinds.items() if name not in self._positional}
        return {**named, **dict.fromkeys(self._switches)}

    def flag(
        self, name: str, kind: Any, text: str, *, note: str = "", group: str = "", **options: Any
    ) -> None:
        """Add a flag or, for a name without dashes, a positional argument.

        Parameters
        ----------
        name
            The name, such as ``--n``.
        kind
            The type of the value.
        text
            The help; an error about a missing value repeats it.
        note
            More help, which errors do not repeat.
        group
            The heading of the help under which the flag stands.
        options
            Further arguments of ``add_argument``, such as ``default``.
        """
        key = name.lstrip("-")
        self._kinds[key], self._texts[key] = kind, text
        if key == name:
            self._positional.append(key)
        if group and group not in self._groups:
            self._groups[group] = self.add_argument_group(group)
        owner = self._groups[group] if group else self
        owner.add_argument(name, type=kind, help=text + note, **options)

    def switch(self, name: str, text: str) -> None:
        """Add a flag without a value."""
        self._switches.append(name)
        self.add_argument(name, action="store_true", help=text)

    def parse(self, argv: Sequence[str]) -> dict[str, Any]:
        """Parse the arguments that follow the command's name.

        Raises
        ------
        ValueError
            If a flag is unknown, missing or has a value of the wrong kind.
        """
        try:
            return self.parse_args(self.expand(argv)).as_dict()
        except ArgumentError as error:
            text = on_one_line(error)
            said = self._bad_value(text) or self._missing(text) or self._unknown(text)
            raise ValueError(said or text) from error

    def _bad_value(self, text: str) -> str | None:
        key = re.search(r'Parser key "([\w.]+)":', text)
        if key and key[1] == "config":
            return f"config: expected a YAML file of settings, got {text[key.end() :].strip()}"
        # jsonargparse names the value for each type that it tried; the last one is as it was given
        value = re.search(r".*(?:Got|Given) value:(.*)$", text)
        if not key or not value or key[1] not in self._kinds:
            return None
        return f"{key[1]}: expected {_in_words(self._kinds[key[1]])}, got {value[1].strip()!r}"

    def _missing(self, text: str) -> str | None:
        missing = re.search(r"arguments are required: ([\w-]+)", text) or re.search(
            r"argument (\S+): expected one argument", text
        )
        name = missing[1].lstrip("-") if missing else ""
        return f"{name}: expected {self._texts[name]}, got none" if name in self._texts else None

    def _unknown(self, text: str) -> str | None:
        unknown = re.search(r"unrecognized arguments: (\S+)", text)
        if not unknown:
            return None
        got = unknown[1].partition("=")[0]
        if not got.startswith("-"):
            return self._surplus(got)
        # dashes alone make no two names near
        known = {name.removeprefix("--"): name for name in self.known_flags()}
        near = [known[name] for name in difflib.get_close_matches(got.strip("-"), known, n=3)]
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return f"{got}: expected a flag of {self.prog} (see --help), got an unknown one{hint}"

    def _surplus(self, got: str) -> str:
        """Say that a word without dashes is one too many."""
        expected = f"no more than {' and '.join(self._positional)}"
        hint = "a name with spaces needs quotes"
        if not self._positional:
            expected = "flags alone"
            hint = f"did you mean --data {got}?" if "--data" in self.known_flags() else ""
        more = f" ({hint})" if hint else ""
        return f"{self.prog}: expected {expected}, got also {got!r}{more}"


def _block(title: str, lines: Mapping[str, str]) -> str:
    """Return flags and their texts in two columns, as wide as the terminal."""
    width, indent = max(map(len, lines)) + 4, 2
    shown = max(shutil.get_terminal_size().columns - 2, width + 20)
    rows = [
        textwrap.fill(
            text,
            shown,
            initial_indent=f"{'':{indent}}{flag:<{width - indent}}",
            subsequent_indent=" " * width,
        )
        for flag, text in lines.items()
    ]
    return "\n".join([f"{title}:", *rows, ""])


def _in_words(kind: Any) -> str:
    plain = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
    if kind in plain:
        return plain[kind]
    if get_origin(kind) is tuple:
        return "two numbers such as [0.5,0.999]"
    options = [option for option in get_args(kind) if option is not type(None)]
    if all(isinstance(option, str) for option in options):
        return options[0] if len(options) == 1 else f"one of {', '.join(options)}"
    return " or ".join(_in_words(option) for option in options)
