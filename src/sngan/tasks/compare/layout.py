"""Comparison folder: its own files, and those of its runs."""

import re
from collections.abc import Sequence
from pathlib import Path

from sngan import config as configs
from sngan.report import COMPARISON
from sngan.runs.layout import RUN_FILE
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.manifest import HIDDEN, Manifest
from sngan.tasks.compare.trials import RUNS, Trial
from sngan.utils.plain import read_json

PLAN, PAGE, ANIMATIONS = "plan.json", "compare.html", "animations"

_KIND = "sngan comparison 1"
_LISTED = rf"{re.escape(HIDDEN)}/files\.jsonl"
_NAMES = re.compile(
    "|".join(map(re.escape, (PLAN, COMPARISON, PAGE)))
    + rf"|{ANIMATIONS}/[\w-][\w.-]*\.(gif|png)"
    + rf"|{RUNS}/[\w-][\w.-]*/({_LISTED}|{RUN_FILE.pattern})"
)


class ComparisonFolder:
    """The folder of a new or an old comparison; earlier versions kept no list of files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = Manifest(path, kind=_KIND, pattern=_NAMES)

    def is_comparison(self) -> bool:
        """Whether sngan made this folder: by its list, or by its plan."""
        return self.files.exists() or self._has_plan()

    def begin(self, trials: Sequence[Trial], *, replace: bool) -> None:
        """Claim the folder for this comparison; ``replace`` sets the files of the old one aside."""
        if not self.files.exists():
            self._adopt()
        if replace:
            self._list_files_of_runs()
            self.files.set_aside()
        for name in (PLAN, COMPARISON, PAGE):
            self.files.claim(name)
        for trial in trials:
            self.files.claim(f"{RUNS}/{trial.folder.name}/{HIDDEN}/files.jsonl")
            if replace and trial.folder.exists():
                # files of the user in the folder must not keep the run from starting
                ManagedRunFolder(trial.folder).files.start()

    def recover(self) -> None:
        """Finish the changes of a command that was killed. The caller holds the folder's lock."""
        if self.files.has_set_aside() and not self._has_result():
            self._list_files_of_runs()
            self.files.restore()
        self.files.delete_set_aside()
        if self.files.exists():
            self.files.remove_temporaries(".", HIDDEN, ANIMATIONS)

    def _has_plan(self) -> bool:
        try:
            plan = read_json(self.path / PLAN)
            configs.from_dict(plan["base"])
            return isinstance(plan["overrides"], dict)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _has_result(self) -> bool:
        runs = any(ManagedRunFolder(path).has_checkpoint() for path in self._runs())
        return runs or (self.path / COMPARISON).is_file()

    def _adopt(self) -> None:
        names = [PLAN] if self._has_plan() else []
        if names:
            names += [name for name in (COMPARISON, PAGE) if (self.path / name).is_file()]
            names += self._animations()
        for path in (self.path / RUNS).glob("*"):
            run = ManagedRunFolder(path)
            if names and not path.is_symlink() and (run.is_run() or run.has_only_begun()):
                if not run.files.exists():
                    run.adopt()
                names.append(f"{RUNS}/{path.name}/{HIDDEN}/files.jsonl")
        self.files.adopt(names)

    def _animations(self) -> list[str]:
        """The animations that ``compare.json`` names."""
        try:
            made = read_json(self.path / COMPARISON)["animations"]
            return [name for files in made.values() for name in files.values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []

    def _runs(self) -> list[Path]:
        names = [name for name in self.files.names() if name.endswith(f"/{HIDDEN}/files.jsonl")]
        return [(self.path / name).parent.parent for name in names]

    def _list_files_of_runs(self) -> None:
        """Add the files in the list of each run to the list of the comparison."""
        self.files.add(
            f"{RUNS}/{path.name}/{name}"
            for path in self._runs()
            for name in ManagedRunFolder(path).files.names()
        )
