"""Image files of a folder or a zip: which files are images, and their classes and labels."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sngan.data import legacy
from sngan.data.errors import short_reason
from sngan.data.fingerprint import digest, evenly_spaced
from sngan.data.images.formats import is_image, is_sidecar, suffix, why_no_image
from sngan.data.labels.encoding import Labels
from sngan.data.labels.folder_layout import Layout, find_layout
from sngan.data.labels.label_file import labels_of_files, read_label_file
from sngan.data.labels.missing import drop_unlabelled
from sngan.data.labels.stylegan import STYLEGAN, files_above, stylegan_labels
from sngan.data.types import Content, Encoded, Item, ReadOptions, Skipped
from sngan.utils.checks import require
from sngan.utils.text import counted, printable

_log = logging.getLogger("sngan")
_BLOCK = 4096
_WORDS = ("auto", "none", "folders")
# thumbnails, caches and waste bins that operating systems and storage devices create
_HIDDEN = (
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "__macosx", "__pycache__"),
    *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin"),
    *("recycler", "lost+found", "system volume information", "icon\r"),
)


@dataclass(frozen=True)
class ImageFiles:
    """Files by their paths, with a function that reads one by its name.

    ``stamp`` changes with the files and is part of the key of cached images; ``content`` is for the
    fingerprint. ``skipped`` are the files that could not be used, and ``remarks`` are logged as
    warnings.
    """

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


def is_hidden(name: str, *, is_legacy: bool = False) -> bool:
    """Whether a part of a path belongs to the system and not to the data."""
    known = name in legacy.HIDDEN if is_legacy else name.lower() in _HIDDEN
    return known or (name.startswith(".") and name != "..")


def encoded_images(files: ImageFiles, options: ReadOptions) -> Encoded:
    """Select the images among files, in blocks, with the labels that were asked for.

    Raises
    ------
    ValueError
        If there are no images, or the split or labels that were asked for are missing.
    """
    chosen = _chosen_by_legacy(files) if options.is_legacy else _chosen(files, options)
    names = chosen.names
    if not names:
        first = "".join(f"; the first, {one.name}: {one.reason}" for one in chosen.skipped[:1])
        found = f"{len(chosen.skipped)} unusable{first}" if first else "no files"
        if files.names and not chosen.skipped:
            others = counted(len(files.names), "file")
            found = f"{others} of other kinds, such as {printable(files.names[0])}"
        raise ValueError(f"data: expected images in {printable(files.source)}, got {found}")
    numbers = chosen.labels.classes if chosen.labels else np.full(len(names), -1)

    def item(index: int) -> Item:
        return Item(names[index], partial(files.read, names[index]), int(numbers[index]))

    def blocks() -> Iterator[list[Item]]:
        for start in range(0, len(names), _BLOCK):
            yield [item(index) for index in range(len(names))[start : start + _BLOCK]]

    def sample(count: int) -> list[Item]:
        return [item(index) for index in evenly_spaced(len(names), count)]

    encoded = Encoded(
        files.source,
        len(names),
        blocks,
        chosen.labels.names if chosen.labels else (),
        "\n".join([*files.stamp, *_labels_digest(chosen, options)]),
        tuple(chosen.skipped),
        files.content,
        sample,
    )
    missing = int((numbers < 0).sum()) if chosen.labels else 0
    return drop_unlabelled(encoded, missing)


def _labels_digest(chosen: _Chosen, options: ReadOptions) -> list[str]:
    """A hash of labels from a file, which may change while the images stay the same."""
    if chosen.labels is None or options.labels in _WORDS:
        return []
    return [digest([chosen.labels.classes.tobytes(), *map(str.encode, chosen.labels.names)])]


def _chosen_by_legacy(files: ImageFiles) -> _Chosen:
    names = list(files.names)
    classes = legacy.class_folders(names)
    found = sorted(set(classes))
    index = {name: number for number, name in enumerate(found)}
    numbers = np.array([index[name] for name in classes], np.int64)
    known = Labels(numbers, tuple(found)) if classes else None
    return _Chosen(names, known, files.skipped)


def _chosen(files: ImageFiles, options: ReadOptions) -> _Chosen:
    names, others = _separated(files.names)
    skipped = [*files.skipped, *others]
    layout, table = _layout(files, names, options)
    names = [names[index] for index in layout.indices]
    for remark in [*files.remarks, *layout.remarks]:
        _log.warning("%s: %s", printable(files.source), remark)
    if not names or table == {}:
        return _Chosen(names, None, skipped)
    if table is None and options.labels in _WORDS:
        order = sorted(set(layout.classes))
        index = {name: number for number, name in enumerate(order)}
        numbers = np.array([index[name] for name in layout.classes], np.int64)
        known = Labels(numbers, tuple(map(printable, order)))
        return _Chosen(names, known if layout.classes else None, skipped)
    where = STYLEGAN if table else options.labels
    known = labels_of_files(
        names, table or _label_file(files, names, options), where, version=options.version
    )
    return _Chosen(names, known, skipped)


def _layout(
    files: ImageFiles, names: Sequence[str], options: ReadOptions
) -> tuple[Layout, dict[str, str] | None]:
    """Find the layout, and the labels of StyleGAN's file if there is one, which come first."""
    has_file = any(name.rpartition("/")[2] == STYLEGAN for name in files.names)
    if options.labels == "auto" and options.version > 2 and has_file:
        plain = find_layout(names, options._replace(labels="none"), where=files.source)
        chosen = [names[index] for index in plain.indices]
        table = stylegan_labels(files.names, chosen, files.read, version=options.version)
        if table is not None:
            what = "labels are those of its" if table else "there are no labels in its"
            plain.remarks.append(f"{what} {STYLEGAN} (data.labels=folders|FILE chooses otherwise)")
            return plain, table
    return find_layout(names, options, where=files.source), None


def _separated(names: Sequence[str]) -> tuple[list[str], list[Skipped]]:
    """Separate the files that may be images from others, by their names.

    A text file with the name of an image holds its caption or boxes, so it is ignored without a
    report.
    """
    stems = {name.rpartition(".")[0].rpartition("/")[2] for name in names if is_image(name)}
    meant: list[str] = []
    others: list[Skipped] = []
    for name in names:
        if is_sidecar(name):
            continue
        why = why_no_image(name)
        if why is None:
            meant.append(name)
        elif suffix(name) != "txt" or name.rpartition(".")[0].rpartition("/")[2] not in stems:
            others.append(Skipped(printable(name), why))
    return meant, others


def _label_file(files: ImageFiles, chosen: Sequence[str], options: ReadOptions) -> dict[str, str]:
    """Read a file of labels from the disk, or else from the files of the source.

    If each split has a file of this name, it is the one above the chosen images.
    """
    asked, version = options.labels, options.version
    expected = "none, folders, or a CSV or JSON file of labels"
    try:
        path = Path(asked).expanduser()
        if path.is_file():
            return read_label_file(path, version=version)
    except (OSError, RuntimeError) as error:
        # the path is too long, or names the home of an unknown user
        got = f"{printable(asked)[:100]!r} ({short_reason(error)})"
        raise ValueError(f"data.labels: expected {expected}, got {got}") from error
    inside = files_above(asked, files.names, chosen)
    require(len(inside) == 1, "data.labels", expected=expected, got=repr(printable(asked)))
    return read_label_file(Path(inside[0]), files.read(inside[0]), version=version)
