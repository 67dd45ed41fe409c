"""Folder layouts: which folders of an image data set are splits, classes, or only parts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sngan.data.labels.part_folders import RemainingPath, are_parts
from sngan.data.labels.splits import (
    FILLERS,
    is_split,
    require_only_train,
    split_of,
    splits_among,
)
from sngan.data.types import ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import counted, printable

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
_SHOWN = 5
# more files than these, and than this share, are never left out beside class folders
_FEW, _FEW_SHARE = 10, 0.05


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
    files = _of_split(_strip_common_folders(files), options, where, remarks)
    files = _strip_common_folders(files, also_splits=True)
    files = _strip_common_folders(_without_masks(files, remarks), also_splits=True)
    classes: list[str] = []
    if options.labels == "folders":
        files, classes = _by_folder(files, remarks, forced=True)
    elif options.labels == "auto":
        most = None if options.version < 5 else max(_FEW, int(_FEW_SHARE * len(files)))
        files, classes = _by_folder(_without_parts(files, remarks), remarks, most_loose=most)
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
    files: list[RemainingPath], options: ReadOptions, where: str, remarks: list[str]
) -> list[RemainingPath]:
    tops, asked = _by_first_folder(files), options.split
    split_by_name = splits_among(tops, fillers=FILLERS if options.version > 4 else ())
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
        if not are_parts(tops):
            break
        remarks.append(
            f"its folders {_listed(sorted(tops))} are parts and no classes "
            "(data.labels=folders reads classes)"
        )
        files = _strip_common_folders(_below(files))
    return files


def _by_folder(
    files: list[RemainingPath],
    remarks: list[str],
    *,
    forced: bool = False,
    most_loose: int | None = None,
) -> tuple[list[RemainingPath], list[str]]:
    """Return the files in class folders and their classes.

    Files outside the folders are left out if they are at most ``most_loose`` and fewer than those
    of a class; otherwise there are no classes.
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
    are_many = len(loose) * len(sizes) >= len(files) - len(loose)
    are_many = are_many or (most_loose is not None and len(loose) > most_loose)
    if are_many and not forced:
        beside = counted(len(loose), "file lies", "files lie")
        remarks.append(
            f"{beside} beside its {len(sizes)} folders: read without classes "
            "(data.labels=folders reads those in folders)"
        )
        return files, []
    if loose:
        beside = counted(len(loose), "file")
        remarks.append(
            f"left out {beside} beside its class folders (data.labels=none reads all images)"
        )
    remarks.append(
        f"{counted(len(sizes), 'class', 'classes')} from its folders: {_listed(sorted(sizes))} "
        "(data.labels=none|FILE chooses otherwise)"
    )
    kept = [file for file in files if len(file.path) > 1]
    return kept, [file.path[0] for file in kept]


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more
