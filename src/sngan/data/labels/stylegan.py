"""StyleGAN's ``dataset.json``: labels in a folder or a zip that its ``dataset_tool.py`` made."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sngan.data.labels.label_file import read_label_file
from sngan.data.labels.names import Names
from sngan.data.types import READING
from sngan.utils.plain import parse_json

STYLEGAN = "dataset.json"


def stylegan_labels(
    names: Sequence[str],
    chosen: Sequence[str],
    read: Callable[[str], bytes],
    *,
    version: int = READING,
) -> dict[str, str] | None:
    """Return the label of each name in the file, empty if it says that there are no labels.

    It is None if there is no such file, or the file is of another kind or about other images.

    Parameters
    ----------
    names
        The paths of all files.
    chosen
        The paths of the images that are read.
    read
        Reads a file by its path.
    version
        The version of the rules, see :data:`sngan.data.READING`.
    """
    found = files_above(STYLEGAN, names, chosen)
    if len(found) != 1:
        return None
    try:
        data = read(found[0])
        value: Any = parse_json(data.decode("utf-8-sig"))
        if not isinstance(value, dict) or "labels" not in value:
            return None
        if value["labels"] is None:
            return {}
        labels = read_label_file(Path(found[0]), data, version=version)
    except (ValueError, OSError, RecursionError):
        # nobody asked for this file, and data of another kind may have one of this name
        return None
    label_of = Names(labels, chosen)
    return labels if any(map(label_of, chosen)) else None


def files_above(asked: str, names: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """Return the files of this name; of several, those in folders with chosen images.

    Parameters
    ----------
    asked
        The name, perhaps with folders.
    names
        The paths of all files.
    chosen
        The paths of the images that are read.
    """
    found = [name for name in names if name == asked or name.endswith(f"/{asked}")]
    if len(found) < 2:
        return found
    folders = {name: name.removesuffix(asked) for name in found}
    return [name for name in found if any(one.startswith(folders[name]) for one in chosen)]
