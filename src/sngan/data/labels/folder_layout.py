"""Folder layouts: which folders of an image data set are splits, classes, or only parts."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from sngan.data.labels.splits import is_split, require_only_train, split_of, splits_among
from sngan.data.types import ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_ANNOTATIONS = ("annotations", "annotation", "xmls", "trimaps")
# such names may also be classes; they are masks if a folder of images has the same parent
_MASKS = (
    *("masks", "mask", "labels", "label", "segmentation", "segmentations", "segmentationclass"),
    *("segmentationobject", "seg", "gt", "groundtruth", "ground_truth", "depth", "annot", "anno"),
    *("thumbnails", "thumbs"),
)
_IMAGES = (
    *("images", "image", "imgs", "img", "jpegimages", "photos", "pictures", "pics", "original"),
)
_PART_NAME = re.compile(
    r"(?:batch|part|chunk|shard|fold|set|dir|folder|group|vol|volume|disk|archive|bucket|block|"
    r"subset|images|imgs|img|photos|pics|pictures)[-_ .]?\d+",
    re.IGNORECASE,
)
_CAMERA = re.compile(r"[1-9]\d\d[0-9A-Z_]{5}")
_HEX = re.compile(r"[0-9a-f]+")
_SHOWN = 5


class RemainingPath(NamedTuple):
    """A file by its index in the list of names, and the part of its path still to be explained."""

    position: int
    path: tuple[str, ...]


class Layout(NamedTuple):
    """The files to read, their classes (empty if none), and remarks on how they were found."""

    indices: list[int]
    classes: list[str]
    remarks: list[str]


def find_layout(names: Sequence[str], options: ReadOptions, *, where: str) -> Layout:
    """Find the splits, classes and parts in the paths of images.

    Parameters
    ----------
    names
        The paths.
    options
        The split and the labels that were asked for.
    where
        The source, for errors.

    Raises
    ------
    ValueError
        If the split that was asked for is not among the folders.
    """
    files = [RemainingPath(index, tuple(name.split("/"))) for index, name in enumerate(names)]
    remarks: list[str] = []
    files = _without_masks(_strip_common_folders(files), remarks)
    files = _of_split(_strip_common_folders(files), options.split, where, remarks)
    files = _strip_common_folders(files, also_splits=True)
    files = _strip_common_folders(_without_masks(files, remarks), also_splits=True)
    classes: list[str] = []
    if options.labels == "folders":
        files, classes = _by_folder(files, remarks, forced=True)
    elif options.labels == "auto":
        files, classes = _by_folder(_without_parts(files, remarks), remarks)
    return Layout([file.position for file in files], classes, remarks)


def _strip_common_folders(
    files: list[RemainingPath], *, also_splits: bool = False
) -> list[RemainingPath]:
    """Strip the folders that all files lie in, which archives often have."""
    while len(tops := {file.path[0] for file in files if len(file.path) > 1}) == 1:
        is_split_folder = split_of(next(iter(tops))) is not None and not also_splits
        if is_split_folder or any(len(file.path) == 1 for file in files):
            break
        files = _below(files)
    return files


def _below(files: Iterable[RemainingPath]) -> list[RemainingPath]:
    return [RemainingPath(file.position, file.path[1:]) for file in files]


def _by_first_folder(files: Iterable[RemainingPath]) -> dict[str, list[RemainingPath]]:
    """Group the files by their first folder."""
    found: defaultdict[str, list[RemainingPath]] = defaultdict(list)
    for file in files:
        if len(file.path) > 1:
            found[file.path[0]].append(file)
    return found


def _without_masks(files: list[RemainingPath], remarks: list[str]) -> list[RemainingPath]:
    """Leave out folders of annotations, masks and thumbnails next to the folders of images."""
    tops = _by_first_folder(files)
    masks = {name for name in tops if name.lower() in _ANNOTATIONS}
    if any(name.lower() in _IMAGES for name in tops):
        masks |= {name for name in tops if name.lower() in _MASKS}
    if not masks or len(masks) == len(tops):
        return files
    remarks.append(f"left out its folders of annotations: {_listed(sorted(masks))}")
    return [file for file in files if len(file.path) == 1 or file.path[0] not in masks]


def _of_split(
    files: list[RemainingPath], asked: str, where: str, remarks: list[str]
) -> list[RemainingPath]:
    tops = _by_first_folder(files)
    split_by_name = splits_among(tops)
    known = set(split_by_name)
    others = [name for name in tops if name not in known]
    # a single folder named like a split may be a class: a bus, a car, a train
    if len(known) < 2 and others and not _alone_has_classes(known, tops):
        return _of_split_in_classes(files, asked, where, remarks)
    if not known:
        require_only_train(asked, where)
        return files
    chosen = [name for name in tops if name == asked]
    chosen = chosen or [n for n in known if is_split(asked, split_by_name[n])]
    if not chosen and len(known) == 1 and asked == "train":
        chosen = list(known)
        remarks.append(f"reads {chosen[0]}, its only split")
    _require_split(bool(chosen), known, asked)
    left_out = [
        *(name for name in others if name not in chosen),
        *(["files beside them"] if any(len(f.path) == 1 for f in files) else []),
    ]
    if left_out:
        remarks.append(f"left out beside its splits: {_listed(left_out)}")
    if len(known) > 1:
        read, of = _listed(sorted(chosen)), _listed(sorted(known))
        remarks.append(f"reads its split {read} of {of} (data.split)")
    read_files = [file for name in sorted(chosen) for file in tops[name]]
    # trainA and trainB are two classes of one split, so their folders are kept
    return read_files if len(chosen) > 1 else _below(read_files)


def _alone_has_classes(known: set[str], tops: dict[str, list[RemainingPath]]) -> bool:
    """Whether there is a single split, and it is the only folder that has folders of its own."""
    nested = {name for name, own in tops.items() if len(_by_first_folder(_below(own))) > 1}
    return len(known) == 1 and nested == known


def _of_split_in_classes(
    files: list[RemainingPath], asked: str, where: str, remarks: list[str]
) -> list[RemainingPath]:
    """Read splits one level down, as in ``cat/train``, if every folder has only splits."""
    tops = _by_first_folder(files)
    inner = {file.path[1] for own in tops.values() for file in own if len(file.path) > 2}
    known = {name for name in inner if split_of(name)}
    deep = all(len(file.path) > 2 for file in files)
    if len(known) < 2 or known != inner or not deep:
        require_only_train(asked, where)
        return files
    chosen = {name for name in known if is_split(asked, name)}
    _require_split(bool(chosen), known, asked)
    remarks.append(f"reads the split {_listed(sorted(chosen))} of each class (data.split)")
    return [
        RemainingPath(file.position, (file.path[0], *file.path[2:]))
        for file in files
        if file.path[1] in chosen
    ]


def _require_split(is_there: bool, known: set[str], asked: str) -> None:
    expected = f"one of {sorted(map(printable, known))}"
    require(is_there, "data.split", expected=expected, got=repr(asked))


def _without_parts(files: list[RemainingPath], remarks: list[str]) -> list[RemainingPath]:
    """Strip the folders that only divide the files into parts."""
    while len(tops := _by_first_folder(files)) > 1 and sum(map(len, tops.values())) == len(files):
        if not any(is_parts(tops) for is_parts in _PARTS):
            break
        remarks.append(
            f"its folders {_listed(sorted(tops))} are parts and no classes "
            "(data.labels=folders reads classes)"
        )
        files = _strip_common_folders(_below(files))
    return files


def _are_named_parts(tops: dict[str, list[RemainingPath]]) -> bool:
    """Folders such as ``batch1``, ``part-002``, or a camera's ``100CANON``."""
    return all(_PART_NAME.fullmatch(name) or _CAMERA.fullmatch(name) for name in tops)


def _are_numbered_in_steps(tops: dict[str, list[RemainingPath]]) -> bool:
    """Folders ``00000``, ``01000``, ``02000``, named for the first number that each may hold."""
    if not _are_padded_numbers(tops):
        return False
    firsts = sorted(map(int, tops))
    step = min(after - before for before, after in pairwise(firsts))
    is_usual = step >= 100 and (firsts[0] == 0 or len(next(iter(tops))) > 3)
    return (
        is_usual
        and all(first % step == 0 for first in firsts)
        and all(len(own) <= step for own in tops.values())
    )


def _are_filled_in_order(tops: dict[str, list[RemainingPath]]) -> bool:
    """Folders ``00000``, ``00001`` of equal size; number n/size holds file n, from 0 or 1 on."""
    if not _are_padded_numbers(tops):
        return False
    size = max(map(len, tops.values()))
    placed = [(int(top), _number(file.path[-1])) for top, own in tops.items() for file in own]
    return any(
        all(number is not None and (number - first) // size == top for top, number in placed)
        for first in (0, 1)
    )


def _are_hashes(tops: dict[str, list[RemainingPath]]) -> bool:
    """Folders ``3f``, ``a0``, named for the first digits of the hashes that name their files."""
    return all(
        len(name) <= 3 and _is_hash(file.path[-1]) and file.path[-1].startswith(name)
        for name, own in tops.items()
        for file in own
    )


_PARTS: tuple[Callable[[dict[str, list[RemainingPath]]], bool], ...] = (
    _are_named_parts,
    _are_numbered_in_steps,
    _are_filled_in_order,
    _are_hashes,
)


def _are_padded_numbers(tops: dict[str, list[RemainingPath]]) -> bool:
    return all(name.isdecimal() and name.isascii() and len(name) > 2 for name in tops) and (
        len(set(map(len, tops))) == 1
    )


def _is_hash(name: str) -> bool:
    stem = name.partition(".")[0].lower()
    return len(stem) >= 8 and _HEX.fullmatch(stem) is not None


def _number(name: str) -> int | None:
    found = re.findall(r"\d+", name.rpartition(".")[0])
    return int(found[-1]) if found and len(found[-1]) < 19 else None


def _by_folder(
    files: list[RemainingPath], remarks: list[str], *, forced: bool = False
) -> tuple[list[RemainingPath], list[str]]:
    """Return the files in class folders and their classes.

    Files outside the folders are left out if they are few; if they are many, there are no classes.
    """
    sizes = Counter(file.path[0] for file in files if len(file.path) > 1)
    loose = [file for file in files if len(file.path) == 1]
    if forced:
        require(
            bool(sizes),
            "data.labels",
            expected="none or a file",
            got="folders, and no file in a folder",
        )
    if len(sizes) < (1 if forced else 2):
        if sizes:
            remarks.append(f"files lie beside its folder {_listed([*sizes])}: read without classes")
        return files, []
    if not forced and len(loose) * len(sizes) >= len(files) - len(loose):
        remarks.append(
            f"{len(loose)} files lie beside its {len(sizes)} folders: read without classes "
            "(data.labels=folders reads those in folders)"
        )
        return files, []
    if loose:
        remarks.append(f"left out {len(loose)} files beside its class folders")
    remarks.append(
        f"{len(sizes)} classes from its folders: {_listed(sorted(sizes))} "
        "(data.labels=none|FILE chooses otherwise)"
    )
    kept = [file for file in files if len(file.path) > 1]
    return kept, [file.path[0] for file in kept]


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more
