"""YAML and JSON of plain values: read under limits, and written so that all readers agree.

The files come from strangers: size, depth and repetition are checked before anything is parsed.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from sngan.utils.files import write_bytes
from sngan.utils.text import first_line, printable

_MEBIBYTE = 2**20
_YAML_BYTES, _JSON_BYTES = 4 * _MEBIBYTE, 256 * _MEBIBYTE
_DEPTH, _NODES, _NUMBER = 20, 200_000, 400
_EXPONENT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity")


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Raises
    ------
    ValueError
        If it is no YAML, larger than 4 MiB, nested over 20 deep, has over 200,000 values (an
        alias counts as all values that it repeats), has a number of over 400 digits, or a key
        twice in one mapping.
    """
    return parse_yaml(read_text(path))


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 of at most 4 MiB."""
    return _text(path, most=_YAML_BYTES)


def parse_yaml(text: str) -> Any:
    """Parse YAML under the limits of :func:`read_yaml`; ``1e-4`` is a number, as in YAML 1.2."""
    import yaml

    try:
        _check_events(yaml.parse(text, Loader=_fast("SafeLoader")))
        return yaml.load(text, Loader=_strict_loader())
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise ValueError(first_line(error)) from error


def parse_texts(text: str) -> Any:
    """Parse YAML with every value as text; :func:`parse_yaml` must have accepted it before."""
    import yaml

    return yaml.load(text, Loader=_fast("BaseLoader"))


def _fast(name: str) -> Any:
    """Return a loader of PyYAML, with the parser in C where PyYAML was built with it."""
    import yaml

    return getattr(yaml, f"C{name}", getattr(yaml, name))


@cache
def _strict_loader() -> Any:
    import yaml

    class Loader(_fast("SafeLoader")):
        """A loader that reads ``1e-4`` as a number and refuses repeated keys, unlike YAML 1.1."""

        def get_single_node(self) -> Any:
            node = super().get_single_node()
            _check_keys(node, seen=set())
            return node

    digits = tuple("+-.0123456789")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, digits)
    # a date stays text
    Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
    return Loader


def to_yaml(values: Any) -> str:
    """Return plain values as YAML that every reader of YAML 1.1 or 1.2 reads in the same way.

    Texts such as ``695e0514``, ``1e3`` or ``null`` are quoted.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper that quotes text which some readers take for a number or a truth value."""

    def represent(dumper: Any, text: str) -> Any:
        style = "'" if _could_be_another_kind(text) else None
        # double quotes allow an escape for every character
        style = style if printable(text) == text else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    ValueError
        If it is no JSON, over 256 MiB, nested too deep, has a number of over 4,300 digits, or a
        key twice in one object.
    """
    return parse_json(_text(path, most=_JSON_BYTES))


def parse_json(text: str) -> Any:
    """Parse JSON under the limits of :func:`read_json` on depth, numbers and keys."""
    try:
        return json.loads(text, object_pairs_hook=_with_single_keys)
    except (ValueError, RecursionError) as error:
        raise ValueError(first_line(error)) from error


def to_json(values: object, *, indent: int | None = None) -> str:
    """Return plain values as JSON; numbers that are not finite become null."""
    return json.dumps(finite(values), indent=indent, allow_nan=False)


def write_json(path: Path, values: object, *, indent: int | None = None) -> None:
    """Write the JSON of :func:`to_json` to a file, in one piece.

    Parameters
    ----------
    path
        The file.
    values
        The plain values.
    indent
        The spaces of each level; left out: all on one line.
    """
    write_bytes(path, to_json(values, indent=indent).encode())


def finite(values: object) -> Any:
    """Replace each number that is not finite by None, at any depth: JSON has no infinity or nan.

    >>> finite({"upper": float("inf"), "sigmas": (1.0, float("nan"))})
    {'upper': None, 'sigmas': [1.0, None]}
    """
    if isinstance(values, Mapping):
        return {key: finite(item) for key, item in cast(Mapping[str, object], values).items()}
    if isinstance(values, list | tuple):
        return [finite(item) for item in cast(Sequence[object], values)]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def flatten(values: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping with dotted keys.

    >>> flatten({"seed": 0, "model": {"name": "cnn"}})
    {'seed': 0, 'model.name': 'cnn'}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(cast(Mapping[str, Any], value), prefix=f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _text(path: Path, *, most: int) -> str:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"over {most // _MEBIBYTE} MiB")
    return data.decode()


def _could_be_another_kind(text: str) -> bool:
    return text.lower() in (*_WORDS, "~", "") or text[0] in "+-.0123456789"


def _check_events(events: Iterable[Any]) -> None:
    """Count the values of a document by its events, before anything is built from them."""
    count = _Count()
    for event in events:
        handle = getattr(count, type(event).__name__, None)
        if handle is not None:
            handle(event)
        if len(count.sizes) > _DEPTH:
            raise ValueError(f"nested over {_DEPTH} deep")
        if sum(count.sizes) > _NODES:
            raise ValueError(f"over {_NODES:,} values")


class _Count:
    """Counts the values of a document, of each open mapping or list, and of each anchor."""

    def __init__(self) -> None:
        self.sizes, self._names = [0], list[str | None]()
        self._anchors: dict[str, int] = {}

    def MappingStartEvent(self, event: Any) -> None:  # noqa: N802
        self.sizes.append(1)
        self._names.append(event.anchor)
        if event.anchor is not None:
            # an alias inside its own mapping would repeat without end, so this counts as too many
            self._anchors[event.anchor] = _NODES + 1

    def MappingEndEvent(self, _: Any) -> None:  # noqa: N802
        size, name = self.sizes.pop(), self._names.pop()
        self.sizes[-1] += size
        if name is not None:
            self._anchors[name] = size

    SequenceStartEvent, SequenceEndEvent = MappingStartEvent, MappingEndEvent

    def AliasEvent(self, event: Any) -> None:  # noqa: N802
        self.sizes[-1] += self._anchors.get(event.anchor, 1)

    def ScalarEvent(self, event: Any) -> None:  # noqa: N802
        self.sizes[-1] += 1
        if event.anchor is not None:
            self._anchors[event.anchor] = 1
        _check_number(event)


def _check_keys(node: Any, *, seen: set[int]) -> None:
    """Refuse a key that a mapping has twice, at any depth: readers would take the last one.

    ``seen`` has the nodes that were checked, because an alias is the same node again.
    """
    if node is None or isinstance(node.value, str) or id(node) in seen:
        return
    seen.add(id(node))
    for part in node.value:
        for inner in part if isinstance(part, tuple) else (part,):
            _check_keys(inner, seen=seen)
    if node.id == "mapping":
        _check_keys_of(node)


def _check_keys_of(mapping: Any) -> None:
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key.value, str):
            continue
        line = key.start_mark.line + 1
        if key.value in lines:
            name = printable(key.value)[:100]
            raise ValueError(f"the key {name} twice, in lines {lines[key.value]} and {line}")
        lines[key.value] = line


def _with_single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {printable(key)[:100]} twice")
        values[key] = value
    return values


def _check_number(event: Any) -> None:
    # a tag turns quoted text into a number as well
    is_tagged = event.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    is_plain = not event.style and event.value[:1] in tuple("+-.0123456789")
    if (is_tagged or is_plain) and len(event.value) > _NUMBER:
        raise ValueError(f"a number of over {_NUMBER} digits")
