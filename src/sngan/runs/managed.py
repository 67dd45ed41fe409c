"""Managed run folder: whether a folder is a run, and which of its files sngan may change."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sngan import config as configs
from sngan.config import Config
from sngan.runs.layout import PAGE_MARK, RUN_FILE, SHARDED_FOLDER, RunFolder
from sngan.runs.manifest import HIDDEN, Manifest
from sngan.runs.records import iter_records
from sngan.utils.checks import require
from sngan.utils.plain import flatten

_KIND = "sngan run 1"
_ROTATED = tuple(
    f"{RunFolder.CHECKPOINTS}/{name}"
    for name in (RunFolder.LAST, RunFolder.PREVIOUS, RunFolder.NEXT)
)
# a run writes these files after its settings, or never: it may be killed, or have no evaluations
_LATER = (
    RunFolder.METRICS,
    RunFolder.LOG,
    RunFolder.GENERATOR,
    RunFolder.BEST_GENERATOR,
    RunFolder.REPORT,
    *_ROTATED,
    f"{RunFolder.CHECKPOINTS}/{RunFolder.BEST}",
)
_LOG_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


class ManagedRunFolder(RunFolder):
    """A run folder with the list of the files that sngan wrote. No other file is ever changed.

    The folder may still be empty, or hold a run of a version of sngan that kept no list.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.files = Manifest(path, kind=_KIND, pattern=RUN_FILE)

    def is_run(self) -> bool:
        """Whether sngan made this folder: its list says so, or its files do.

        A ``config.yaml`` alone does not make a run, because people copy such files.
        """
        return self.files.exists() or bool(self._config and any(self._signs_of_a_run()))

    def has_only_begun(self) -> bool:
        """Whether a run ended here before it made anything that could be lost."""
        # a run writes its first generator before its first checkpoint
        weights = self.generator.exists() and _has_records(self.path)
        made = self.has_checkpoint() or weights
        if made or self.files.exists():
            return not made
        return self._config is not None and all(map(self._is_of_a_run, self._present()))

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raise if this command may not write to the folder. Nothing is changed.

        Raises
        ------
        ValueError
            If the folder holds something else, or a run that is neither resumed nor replaced.
        """
        folder = self.path
        require(
            folder.is_dir() or not (folder.exists() or folder.is_symlink()),
            "out",
            expected="a folder",
            got=f"a file, or a link to nothing, {folder}",
        )
        if resume:
            is_run = self.config.is_file() and self.is_run()
            is_run = is_run or self.files.has_set_aside()
            require(is_run, "resume", expected="a run folder at --out", got=f"{folder}, no run")
            return
        if self.files.is_vacant() or self.has_only_begun():
            return
        is_run = self.is_run()
        require(
            overwrite and is_run,
            "out",
            expected="a new or empty folder (--resume goes on, --overwrite replaces a run)",
            got=f"{folder}, {'a run' if is_run else 'which holds other files'}",
        )

    def settings_path(self) -> Path:
        """Return the ``config.yaml`` of the run that a command would resume."""
        aside = self.files.path_set_aside(self.CONFIG)
        return self.config if aside is None or self._has_own_checkpoint() else aside

    def recover(self) -> None:
        """Finish the changes that a killed command left half done. The caller holds the lock."""
        if self.files.has_set_aside() and not self._has_own_checkpoint():
            self.files.restore()
        self.files.delete_set_aside()
        # a command may have been killed while it wrote the list
        self.files.remove_temporaries(HIDDEN)
        if self.files.exists():
            self.files.remove_temporaries(".", self.CHECKPOINTS, self.SAMPLES, self.LIPSCHITZ)

    def begin(self, *, resume: bool) -> None:
        """Prepare the folder for a new or resumed run. Files of a replaced run are set aside."""
        folders = [self.files.inside(folder) for folder in (self.SAMPLES, self.CHECKPOINTS)]
        # nothing could be lost here
        is_new = self.files.is_vacant() or self.has_only_begun()
        if not self.files.exists():
            self.adopt()
        if is_new and not resume:
            self.files.delete()
            self.files.start()
        elif not resume:
            self.files.set_aside()
        for name in _LATER:
            self.files.check(name)
        self.files.claim(self.CONFIG)
        if resume:
            # it may get a copy of an older checkpoint
            self.claim_checkpoint(self.LAST)
        for folder in folders:
            folder.mkdir(exist_ok=True)

    def claim_checkpoint(self, *names: str) -> None:
        """List checkpoints right before they are written; until then the names are free.

        Raises
        ------
        ValueError
            If sngan did not write the file of this name.
        """
        for name in names:
            self.files.claim(f"{self.CHECKPOINTS}/{name}")

    def adopt(self) -> None:
        """Begin the list of a run that has none, with the files that sngan surely wrote."""
        self.files.adopt(name for name in self._present() if self._is_of_a_run(name))

    def abandon(self) -> None:
        """Put the replaced run back after an error, unless the new one has a checkpoint already."""
        if self.files.has_set_aside() and not self._has_own_checkpoint():
            said = self.log.read_bytes() if self.log.is_file() else b""
            self.files.restore()
            if said:
                with self.files.claim(self.LOG).open("ab") as file:
                    file.write(said)

    def _has_own_checkpoint(self) -> bool:
        """Whether this run has written a checkpoint; a person's own file beside it is none."""
        folder = f"{self.CHECKPOINTS}/"
        own = (name for name in self.files.names() if name.startswith(folder))
        return any(name.endswith(".pt") and (self.path / name).is_file() for name in own)

    @cached_property
    def _config(self) -> Config | None:
        """The settings, if sngan resolved and wrote ``config.yaml``."""
        try:
            config = configs.load(self.config)
            keys = set(flatten(configs.read(self.config)))
        except (ValueError, OSError):
            return None
        return config if "model.sample_shape" in keys and config.model.sample_shape else None

    def _signs_of_a_run(self) -> Iterator[bool]:
        yield from (_is_checkpoint(path) for path in self.checkpoints.glob("*.pt"))
        yield _is_weights(self.generator)
        yield _has_records(self.path)

    def _present(self) -> Iterator[str]:
        for path in self.path.rglob("*"):
            if not path.is_dir() and not path.is_relative_to(self.files.home):
                yield path.relative_to(self.path).as_posix()

    def _is_of_a_run(self, name: str) -> bool:
        """Whether the name and content of a file prove that sngan wrote it, if there is no list."""
        path = self.path / name
        if not RUN_FILE.fullmatch(name) or path.is_symlink() or not path.is_file():
            return False
        if name in _ROTATED:
            # these count even if their content is damaged
            return True
        if name.startswith(f"{self.CHECKPOINTS}/") and name.count("/") == 1:
            return _is_checkpoint(path)
        if name.startswith(f"{self.CHECKPOINTS}/"):
            return SHARDED_FOLDER.fullmatch(path.parent.name) is not None
        tests = {
            self.CONFIG: lambda: self._config is not None,
            self.METRICS: lambda: path.stat().st_size == 0 or _has_records(self.path),
            self.GENERATOR: lambda: _is_weights(path),
            self.BEST_GENERATOR: lambda: _is_weights(path),
            self.LOG: lambda: _LOG_LINE.match(path.read_bytes()[:100]) or path.stat().st_size == 0,
            self.REPORT: lambda: PAGE_MARK in path.read_bytes()[: 2**16],
            self.SKIPPED: lambda: False,
            self.EVALUATIONS: lambda: path.read_bytes()[:1] == b"{",
            self.MEASURED: lambda: b'"lipschitz"' in path.read_bytes()[-(2**16) :],
        }
        if name in tests:
            return bool(tests[name]())
        if name.startswith(f"{self.SAMPLES}/"):
            return self._is_sample_grid(path)
        if name.startswith(f"{self.LIPSCHITZ}/"):
            return b"Matplotlib" in path.read_bytes()[:300]
        return True

    def _is_sample_grid(self, path: Path) -> bool:
        if self._config is None or not _begins(path, b"\x89PNG"):
            return False
        if path == self.real_samples:
            return True
        step = int(path.stem.removeprefix("step-"))
        every = self._config.sample_every
        return isinstance(every, str) or step % every == 0 or step == self._config.steps


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _is_checkpoint(path: Path) -> bool:
    """Whether a file is a zip whose first member has the name that torch gives it."""
    with path.open("rb") as file:
        head = file.read(200)
    return head.startswith(b"PK\x03\x04") and b"/data.pkl" in head


def _is_weights(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = file.read(min(size, 2**20))
    try:
        return size <= 2**20 and isinstance(json.loads(head), dict)
    except (ValueError, RecursionError):
        return False


def _has_records(folder: Path) -> bool:
    first = next(iter_records(folder), None)
    return first is not None and "step" in first
