"""Names in a file of labels: which of them is meant by the path of an image file."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence


class Names:
    """Finds the label of a file in a table of names.

    A name means a file if one of the two is the end of the other, folder by folder, such as
    ``cat/1.png`` and ``train/cat/1.png``. The endings ``.png``, ``.jpg`` … may differ or be
    missing. If no name of a file's folders is in the table, its last part decides, provided that no
    other file has it: the table may come from a machine with other folders.

    Parameters
    ----------
    labels
        The label of each name.
    files
        The paths of all files.
    """

    def __init__(self, labels: Mapping[str, str], files: Sequence[str]) -> None:
        self._whole, self._ends = dict[str, str](), dict[str, str]()
        for name, label in labels.items():
            path = name.replace("\\", "/").removeprefix("./")
            for key in dict.fromkeys((path, _stem(path))):
                _put(self._whole, key, label)
                for end in list(_ends(key))[1:]:
                    _put(self._ends, end, label)
        self._count = Counter(_stem(file.rpartition("/")[2]) for file in files)

    def __call__(self, file: str) -> str:
        """Return the label of a file; no text if it has none, or two names disagree."""
        keys = (file, _stem(file))
        for key in (end for both in zip(*map(_ends, keys), strict=True) for end in both):
            if label := self._whole.get(key):
                return label
        last = [key.rpartition("/")[2] for key in keys]
        known = [*keys, *(last if self._count[last[1]] == 1 else [])]
        return next((label for key in known if (label := self._ends.get(key))), "")


def _put(table: dict[str, str], key: str, label: str) -> None:
    # a name with two different labels is ambiguous
    table[key] = label if table.get(key, label) == label else ""


def _ends(path: str) -> Iterator[str]:
    """The path, and its ends without the first folders, from the longest to the last part."""
    parts = path.split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _stem(path: str) -> str:
    """The path without the ending of its last part."""
    folder, slash, last = path.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0] or last}"
