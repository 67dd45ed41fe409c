"""Part folders: folders that only divide the images of a data set into parts of handy size."""

import re
from itertools import pairwise
from typing import NamedTuple

_PART_NAME = re.compile(
    r"(?:batch|part|chunk|shard|fold|set|dir|folder|group|vol|volume|disk|archive|bucket|block|"
    r"subset|images|imgs|img|photos|pics|pictures)[-_ .]?\d+",
    re.IGNORECASE,
)
_CAMERA = re.compile(r"[1-9]\d\d[0-9A-Z_]{5}")
_HEX = re.compile(r"[0-9a-f]+")


class RemainingPath(NamedTuple):
    """A file by its index in the list of names, and the part of its path still to be explained."""

    position: int
    path: tuple[str, ...]


def are_parts(tops: dict[str, list[RemainingPath]]) -> bool:
    """Whether folders are parts and no classes, by their names and the files in each."""
    kinds = (_are_named_parts, _are_numbered_in_steps, _are_filled_in_order, _are_hashes)
    return any(are_of_kind(tops) for are_of_kind in kinds)


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
