"""Manifest: the list of the files that sngan wrote to a folder. No other file is ever changed."""

import json
import os
import re
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from sngan.utils.files import (
    is_temporary,
    link_or_copy,
    named_in_errors,
    remove_if_empty,
    remove_temporaries,
    write_bytes,
)
from sngan.utils.text import printable

HIDDEN = ".sngan"
"""The folder inside a run or a comparison that holds its manifest and its lock."""

_FILES, _ASIDE = "files.jsonl", "replaced"
# file systems put these into an empty volume
_IGNORED = frozenset({"lost+found", ".snapshot"})


class Manifest:
    """The files that sngan wrote into ``folder``, by name, in ``.sngan/files.jsonl``.

    A name is listed before its file is made, so a killed process leaves no unlisted file. Names
    that do not match ``pattern`` are never written, and are ignored when the list is read: a list
    from somebody else cannot name other files.

    Parameters
    ----------
    folder
        The folder; it need not exist.
    kind
        The kind of folder in the first line, such as ``sngan run 1``.
    pattern
        The names that such a folder may have, with ``/`` between folders.
    home
        The folder of the list itself; left out, ``folder/.sngan``.
    """

    def __init__(
        self, folder: Path, *, kind: str, pattern: re.Pattern[str], home: Path | None = None
    ) -> None:
        self.folder, self.kind, self._pattern = folder, kind, pattern
        self.home = folder / HIDDEN if home is None else home
        self._path = self.home / _FILES
        # set-aside files stay in the folder itself: the list may lie on another file system
        self._aside = self.home / _ASIDE if home is None else folder / f"{HIDDEN}-{_ASIDE}"
        self._names: set[str] | None = None

    def exists(self) -> bool:
        """Whether sngan made this folder."""
        return _identity(self._path, self.kind) is not None

    def is_vacant(self) -> bool:
        """Whether the folder is missing or empty, apart from files that every volume has."""
        is_empty = self.folder.is_dir() and not any(map(self._is_something, self.folder.iterdir()))
        return is_empty or not self.folder.exists()

    def start(self) -> None:
        """Begin an empty list."""
        self.home.mkdir(parents=True, exist_ok=True)
        header = {"format": self.kind, "id": secrets.token_hex(8)}
        write_bytes(self._path, json.dumps(header).encode())
        self._names = set()

    def names(self) -> set[str]:
        """Return the listed names that match the pattern."""
        if self._names is None:
            self._names = set(self._read(self._path))
        return self._names

    def claim(self, name: str) -> Path:
        """Add a file that will be written to the list, and return its path.

        Raises
        ------
        ValueError
            If an unlisted file has this name, or the path goes through a symbolic link.
        """
        assert self._pattern.fullmatch(name), name
        path = self.check(name)
        if name not in self.names():
            self._append([name])
        return path

    def check(self, name: str) -> Path:
        """Return the path of a name that may be claimed; the errors are those of :meth:`claim`."""
        path = self.inside(name)
        if name not in self.names() and os.path.lexists(path):
            # another process may have listed the file meanwhile
            self._names = None
            if name not in self.names():
                raise ValueError(
                    f"out: expected no file of that name that sngan did not write, got {path}"
                )
        return path

    @contextmanager
    def recording(self, *folders: str) -> Generator[None]:
        """List the files that appear in these folders while the context is open."""
        before = self._present(folders)
        try:
            yield
        finally:
            self.add(self._present(folders) - before)

    def adopt(self, names: Iterable[str]) -> None:
        """Begin a list with files that sngan wrote."""
        self.start()
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Add files that sngan wrote to the list."""
        new = {name for name in names if self._pattern.fullmatch(name)} - self.names()
        if new:
            self._append(sorted(new))

    def set_aside(self) -> None:
        """Move every listed file aside, and begin a new list; after an error, move all back."""
        self.restore()
        try:
            self._move_aside({name: self.inside(name) for name in sorted(self.names())})
            self.start()
        except BaseException:
            # raise the first error; the next command tries to restore again
            with suppress(OSError):
                self.restore()
            raise

    def has_set_aside(self) -> bool:
        """Whether files are set aside, and neither put back nor deleted yet."""
        return _identity(self._aside / _FILES, self.kind) is not None

    def path_set_aside(self, name: str) -> Path | None:
        """Return the path of a file that was set aside; ``None`` if it was not."""
        path = self._aside / "files" / name
        return path if self.has_set_aside() and path.is_file() else None

    def restore(self) -> None:
        """Delete the files that replaced those set aside, and put the old ones back."""
        if not self.has_set_aside():
            self._remove_aside(())
            return
        if _identity(self._path, self.kind) != _identity(self._aside / _FILES, self.kind):
            self._delete(self.folder, self.names())
            # from here on the list is the old one, so a second try deletes no restored file
            link_or_copy(self._aside / _FILES, self._path)
        self._names = None
        for name in sorted(self.names()):
            path, aside = self.inside(name), self._aside / "files" / name
            if aside.is_file() and not os.path.lexists(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                aside.replace(path)
        self._remove_aside(())

    def delete_set_aside(self) -> None:
        """Delete the files that were set aside, one by one."""
        self._remove_aside(self._read(self._aside / _FILES))

    def delete(self) -> None:
        """Delete every listed file, one by one, and the list."""
        self._delete(self.folder, self.names())
        self._path.unlink(missing_ok=True)
        self._names = None

    def remove_temporaries(self, *folders: str) -> None:
        """Delete the temporary files that a killed process left in these folders."""
        for name in folders:
            remove_temporaries(self.folder / name)

    def inside(self, name: str) -> Path:
        """Return the path of a name.

        Raises
        ------
        ValueError
            If the file, or a folder on the way to it, is a symbolic link.
        """
        path = self.folder
        for part in PurePosixPath(name).parts:
            path = path / part
            if path.is_symlink():
                raise ValueError(
                    f"out: expected the run's own files and folders, got the link {path}"
                )
        return path

    def _is_something(self, path: Path) -> bool:
        if path == self.home:
            # this folder counts only if the list in it is another program's
            return self._path.exists() and not self.exists()
        is_full = not path.is_dir() or path.is_symlink() or any(path.iterdir())
        return is_full and path.name not in _IGNORED

    def _move_aside(self, paths: dict[str, Path]) -> None:
        self._aside.mkdir(exist_ok=True)
        link_or_copy(self._path, self._aside / _FILES)
        for name, path in paths.items():
            aside = self._aside / "files" / name
            if path.is_file():
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.replace(aside)
        self._remove_empty(self.folder, paths)

    def _read(self, path: Path) -> list[str]:
        if _identity(path, self.kind) is None:
            return []
        names: list[str] = []
        for line in path.read_bytes().splitlines()[1:]:
            name = _parsed(line)
            if isinstance(name, str) and self._pattern.fullmatch(name) and ".." not in name:
                names.append(name)
        return names

    def _append(self, names: Iterable[str]) -> None:
        # each line begins with its newline, so a line that was cut off cannot damage the next one
        lines = "".join(f"\n{json.dumps(name)}" for name in names).encode()
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            with named_in_errors(self._path):
                os.write(handle, lines)
                os.fsync(handle)
        finally:
            os.close(handle)
        self._names = None

    def _present(self, folders: Iterable[str]) -> set[str]:
        return {
            path.relative_to(self.folder).as_posix()
            for folder in folders
            for pattern in ("*", "*/*")[: 1 if folder == "." else 2]
            for path in (self.folder / folder).glob(pattern)
            if path.is_file() and not is_temporary(path)
        }

    def _delete(self, root: Path, names: Iterable[str]) -> None:
        deleted: list[str] = []
        for name in names:
            path = root / name
            if path.is_file() and not self._is_linked(root, name):
                path.unlink()
                deleted.append(name)
        self._remove_empty(root, deleted)

    def _remove_empty(self, root: Path, names: Iterable[str]) -> None:
        """Remove the folders of deleted files if they are empty."""
        folders = {parent for name in names for parent in PurePosixPath(name).parents}
        for folder in sorted(folders - {PurePosixPath(".")}, reverse=True):
            remove_if_empty(root / folder)

    def _is_linked(self, root: Path, name: str) -> bool:
        parents = [root / parent for parent in PurePosixPath(name).parents]
        return any(parent.is_symlink() for parent in parents if parent != root)

    def _remove_aside(self, names: Iterable[str]) -> None:
        files = self._aside / "files"
        if not self._aside.is_dir() or self._aside.is_symlink():
            return
        self._delete(files, names)
        remove_temporaries(self._aside)
        for folder in sorted(files.rglob("*"), reverse=True):
            if folder.is_dir() and not folder.is_symlink():
                remove_if_empty(folder)
        remove_if_empty(files)
        (self._aside / _FILES).unlink(missing_ok=True)
        remove_if_empty(self._aside)


def _identity(path: Path, kind: str) -> str | None:
    """Return the identity in the first line of a list; ``None`` if it is no list of this kind."""
    try:
        with path.open("rb") as file:
            header = _parsed(file.readline(1000))
    except OSError:
        return None
    if not isinstance(header, dict) or header.get("format") != kind:
        return None
    return printable(str(header.get("id")))


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
