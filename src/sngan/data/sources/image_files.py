"""Images that have paths, in a folder or a zip: which are meant, their classes, their labels."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sngan.data import legacy as first_reading
from sngan.data.errors import reason
from sngan.data.fingerprint import digest, spread
from sngan.data.images.formats import is_beside, is_image, no_image, suffix
from sngan.data.labels import encoding as labels
from sngan.data.labels.encoding import Labels
from sngan.data.labels.folder_layout import arrange
from sngan.data.types import Content, Encoded, Item, Reading, Skipped
from sngan.utils.checks import require
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
_BLOCK = 4096
_WORDS = ("auto", "none", "folders")
# thumbnails, caches and bins that storage devices and systems make
_HIDDEN = (
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "__macosx", "__pycache__"),
    *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin"),
    *("recycler", "lost+found", "system volume information", "icon\r"),
)


@dataclass(frozen=True)
class Named:
    """Files by their paths: how one is read by its name, and what tells them from others."""

    source: str
    names: Sequence[str]
    read: Callable[[str], bytes]
    stamp: list[str]
    content: Content
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    remarks: list[str] = field(default_factory=list[str])


class _Chosen(NamedTuple):
    names: list[str]
    labels: Labels | None
    skipped: list[Skipped]


def is_hidden(name: str, *, is_first: bool = False) -> bool:
    """Whether a part of a path belongs to the system and not to the data."""
    known = name in first_reading.HIDDEN if is_first else name.lower() in _HIDDEN
    return known or (name.startswith(".") and name != "..")


def encoded_of(named: Named, reading: Reading) -> Encoded:
    """The images among named files, in blocks, with the labels that are asked for.

    Raises
    ------
    ValueError
        If there are none, or not the split or the labels that are asked for.
    """
    chosen = _first(named) if reading.is_first else _chosen(named, reading)
    names = chosen.names
    if not names:
        found = f"{len(chosen.skipped)} unusable" if chosen.skipped else "no files"
        if named.names and not chosen.skipped:
            found = f"{len(named.names)} files of other kinds, such as {printable(named.names[0])}"
        raise ValueError(f"data: expected images in {printable(named.source)}, got {found}")
    numbers = chosen.labels.classes if chosen.labels else np.full(len(names), -1)

    def item(index: int) -> Item:
        return Item(names[index], partial(named.read, names[index]), int(numbers[index]))

    def blocks() -> Iterator[list[Item]]:
        for start in range(0, len(names), _BLOCK):
            yield [item(index) for index in range(len(names))[start : start + _BLOCK]]

    def some(count: int) -> list[Item]:
        return [item(index) for index in spread(len(names), count)]

    encoded = Encoded(
        named.source,
        len(names),
        blocks,
        chosen.labels.names if chosen.labels else (),
        "\n".join([*named.stamp, *_told_by_file(chosen, reading)]),
        tuple(chosen.skipped),
        named.content,
        some,
    )
    missing = int((numbers < 0).sum()) if chosen.labels else 0
    return labels.settled(encoded, missing)


def _told_by_file(chosen: _Chosen, reading: Reading) -> list[str]:
    """A hash of labels that come from a file: it may change while the images stay."""
    if chosen.labels is None or reading.labels in _WORDS:
        return []
    return [digest([chosen.labels.classes.tobytes(), *map(str.encode, chosen.labels.names)])]


def _first(named: Named) -> _Chosen:
    names = list(named.names)
    classes = first_reading.classes_of(names)
    found = sorted(set(classes))
    index = {name: number for number, name in enumerate(found)}
    numbers = np.array([index[name] for name in classes], np.int64)
    known = Labels(numbers, tuple(found)) if classes else None
    return _Chosen(names, known, named.skipped)


def _chosen(named: Named, reading: Reading) -> _Chosen:
    names, others = _meant(named.names)
    skipped = [*named.skipped, *others]
    laid = arrange(names, reading, where=named.source)
    names = [names[index] for index in laid.indices]
    for remark in [*named.remarks, *laid.remarks]:
        _log.warning("%s: %s", printable(named.source), remark)
    if not names:
        return _Chosen([], None, skipped)
    if reading.labels in _WORDS:
        order = sorted(set(laid.classes))
        index = {name: number for number, name in enumerate(order)}
        numbers = np.array([index[name] for name in laid.classes], np.int64)
        known = Labels(numbers, tuple(map(printable, order)))
        return _Chosen(names, known if laid.classes else None, skipped)
    table = _label_file(named, reading.labels)
    return _Chosen(names, labels.of_names(names, table, reading.labels), skipped)


def _meant(names: Sequence[str]) -> tuple[list[str], list[Skipped]]:
    """The files that may be images, and those that are none by their names.

    Captions and boxes lie beside images as texts of their names: they are passed over.
    """
    stems = {name.rpartition(".")[0].rpartition("/")[2] for name in names if is_image(name)}
    meant: list[str] = []
    others: list[Skipped] = []
    for name in names:
        if is_beside(name):
            continue
        why = no_image(name)
        if why is None:
            meant.append(name)
        elif suffix(name) != "txt" or name.rpartition(".")[0].rpartition("/")[2] not in stems:
            others.append(Skipped(printable(name), why))
    return meant, others


def _label_file(named: Named, asked: str) -> dict[str, str]:
    """A file of labels on the disk, or else among the files of the source."""
    expected = "none, folders, or a CSV or JSON file of labels"
    try:
        path = Path(asked).expanduser()
        if path.is_file():
            return labels.read_file(path)
    except (OSError, RuntimeError) as error:
        # too long, or a home of nobody
        got = f"{printable(asked)[:100]!r} ({reason(error)})"
        raise ValueError(f"data.labels: expected {expected}, got {got}") from error
    inside = [n for n in named.names if n == asked or n.endswith(f"/{asked}")]
    require(len(inside) == 1, "data.labels", expected=expected, got=repr(printable(asked)))
    return labels.read_file(Path(inside[0]), named.read(inside[0]))
