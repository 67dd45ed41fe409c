"""RunFolder: the files of a run, and how a folder is known to be one."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sngan import config as configs
from sngan.config import Config
from sngan.runs.manifest import HIDDEN, Manifest
from sngan.runs.names import (
    CHECKPOINTS,
    CONFIG,
    GENERATOR,
    LIPSCHITZ,
    LOG,
    MEASURED,
    PAGE_MARK,
    REPORT,
    SAMPLES,
    SKIPPED,
)
from sngan.runs.records import METRICS, iter_records
from sngan.utils.checks import require
from sngan.utils.plain import flatten

_KIND = "sngan run 1"
_NAMES = (
    "|".join(map(re.escape, (CONFIG, GENERATOR, METRICS, LOG, SKIPPED, REPORT, MEASURED)))
    + r"|events\.out\.tfevents\.[\w.-]+"
    + rf"|{SAMPLES}/step-\d{{6,}}\.png"
    + rf"|{LIPSCHITZ}/(layers|cone)\.png"
    # of the form step-000500.pt, last.pt, and the parts of sharded ones
    + rf"|{CHECKPOINTS}/[\w-][\w.-]*(/[\w.-]+)?"
)
PATTERN = re.compile(_NAMES)
"""The names that sngan gives to the files of a run."""

# from the start of a run on they are written again and again
_FIRST = (CONFIG, METRICS, LOG, GENERATOR, REPORT)
_BEST = f"{CHECKPOINTS}/best.pt"
_ROTATED = tuple(f"{CHECKPOINTS}/{name}.pt" for name in ("last", "previous", "next"))
_LOG_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


class RunFolder:
    """A folder in which a run is, will be, or was before sngan listed its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = Manifest(path, kind=_KIND, pattern=PATTERN)

    def is_run(self) -> bool:
        """Whether sngan made this folder: by its list, or by all that its files say.

        A ``config.yaml`` alone is no run, even a whole one: people copy such files.
        """
        return self.files.exists() or bool(self._config and any(self._made_before()))

    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from."""
        return any((self.path / CHECKPOINTS).glob("*.pt"))

    def is_begun(self) -> bool:
        """Whether a run ended here before it had made anything that could be lost."""
        # the first checkpoint is written after the first generator
        weights = (self.path / GENERATOR).exists() and _has_records(self.path)
        made = self.has_checkpoint() or weights
        if made or self.files.exists():
            return not made
        return self._config is not None and all(map(self._is_of_a_run, self._present()))

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that this command may not write to; change nothing.

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
            is_run = (folder / CONFIG).is_file() and self.is_run()
            is_run = is_run or self.files.is_replacing()
            require(is_run, "resume", expected="a run folder at --out", got=f"{folder}, none")
            return
        if self.files.is_vacant() or self.is_begun():
            return
        is_run = self.is_run()
        require(
            overwrite and is_run,
            "out",
            expected="a new or empty folder (--resume goes on, --overwrite replaces a run)",
            got=f"{folder}, {'a run' if is_run else 'which holds other files'}",
        )

    def settings(self) -> Path:
        """The ``config.yaml`` of the run that a command would go on with."""
        aside = self.files.aside(CONFIG)
        return self.path / CONFIG if aside is None or self.has_checkpoint() else aside

    def recover(self) -> None:
        """Finish what a killed command left half done. The caller holds the folder's lock."""
        if self.files.is_replacing() and not self.has_checkpoint():
            self.files.restore()
        self.files.give_up()
        # of a command that was killed before its list was whole
        self.files.remove_temporaries(HIDDEN)
        if self.files.exists():
            self.files.remove_temporaries(".", CHECKPOINTS, SAMPLES, LIPSCHITZ)

    def begin(self, *, resume: bool) -> None:
        """Make the folder this run's. What an earlier run made is set aside, not yet deleted."""
        folders = [self.files.inside(folder) for folder in (SAMPLES, CHECKPOINTS)]
        # nothing that could be lost
        is_new = self.files.is_vacant() or self.is_begun()
        if not self.files.exists():
            self.adopt()
        if is_new and not resume:
            self.files.delete()
            self.files.start()
        elif not resume:
            self.files.set_aside()
        for name in (*_FIRST, *_ROTATED, _BEST):
            self.files.claim(name)
        for folder in folders:
            folder.mkdir(exist_ok=True)

    def adopt(self) -> None:
        """List the files of a run from before there were lists, those that are surely sngan's."""
        self.files.adopt(name for name in self._present() if self._is_of_a_run(name))

    def abandon(self) -> None:
        """After an error: put back what was set aside, unless a checkpoint has replaced it."""
        if self.files.is_replacing() and not self.has_checkpoint():
            log = self.path / LOG
            said = log.read_bytes() if log.is_file() else b""
            self.files.restore()
            if said:
                with self.files.claim(LOG).open("ab") as file:
                    file.write(said)

    @cached_property
    def _config(self) -> Config | None:
        """The settings, if ``config.yaml`` is one that sngan filled in and wrote."""
        try:
            config = configs.load(self.path / CONFIG)
            keys = set(flatten(configs.read(self.path / CONFIG)))
        except (ValueError, OSError):
            return None
        return config if "model.sample_shape" in keys and config.model.sample_shape else None

    def _made_before(self) -> Iterator[bool]:
        yield from (_is_checkpoint(path) for path in (self.path / CHECKPOINTS).glob("*.pt"))
        yield _is_weights(self.path / GENERATOR)
        yield _has_records(self.path)

    def _present(self) -> Iterator[str]:
        for path in self.path.rglob("*"):
            if not path.is_dir() and not path.is_relative_to(self.files.home):
                yield path.relative_to(self.path).as_posix()

    def _is_of_a_run(self, name: str) -> bool:
        """Whether a file of a run without a list is surely sngan's, by its name and content."""
        path = self.path / name
        if not PATTERN.fullmatch(name) or path.is_symlink() or not path.is_file():
            return False
        if name in _ROTATED:
            # also where their content is damaged
            return True
        if name.startswith(f"{CHECKPOINTS}/") and name.count("/") == 1:
            return _is_checkpoint(path)
        if name.startswith(f"{CHECKPOINTS}/"):
            return re.fullmatch(r"step-\d{6,}-[0-9a-f]{6}\.shards", path.parent.name) is not None
        tests = {
            CONFIG: lambda: self._config is not None,
            METRICS: lambda: path.stat().st_size == 0 or _has_records(self.path),
            GENERATOR: lambda: _is_weights(path),
            LOG: lambda: _LOG_LINE.match(path.read_bytes()[:100]) or path.stat().st_size == 0,
            REPORT: lambda: PAGE_MARK in path.read_bytes()[: 2**16],
            SKIPPED: lambda: False,
            MEASURED: lambda: b'"lipschitz"' in path.read_bytes()[-(2**16) :],
        }
        if name in tests:
            return bool(tests[name]())
        if name.startswith(f"{SAMPLES}/"):
            return self._is_picture_of_a_step(path)
        if name.startswith(f"{LIPSCHITZ}/"):
            return b"Matplotlib" in path.read_bytes()[:300]
        return True

    def _is_picture_of_a_step(self, path: Path) -> bool:
        if self._config is None or not _begins(path, b"\x89PNG"):
            return False
        step = int(path.stem.removeprefix("step-"))
        return step % self._config.sample_every == 0 or step == self._config.steps


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _is_checkpoint(path: Path) -> bool:
    """Whether a file is a zip that begins with the name that torch gives its first member."""
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
