"""Health watch: one line in the log the first time that a condition holds in a run."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sngan.config import Config
from sngan.health import History, diagnose

# each judgement reads all records so far, so not every record is followed by one
_EVERY = 4
_LINE = re.compile(r"health: ([a-z][a-z ]*) since step ")
_LONGEST_LOG = 2**24
_log = logging.getLogger("sngan")


class HealthWatch:
    """Follows the records of a run, and logs each finding once.

    Parameters
    ----------
    config
        The settings of the run.
    records
        The records of a resumed run so far.
    log
        The log of the run; a finding that it names is not logged again.
    """

    def __init__(
        self, config: Config, records: Iterable[Mapping[str, object]], *, log: Path
    ) -> None:
        self._config = config
        self._history = History(records)
        self._said = _said_in(log)

    def follow(self, record: Mapping[str, object]) -> None:
        """Take in a record, and log the findings that are new."""
        self._history.add(record)
        is_last = record.get("step") == self._config.steps or "not_finite" in record
        if not is_last and ("health" not in record or self._history.num_measured % _EVERY):
            return
        for finding in diagnose(self._history, self._config).findings:
            if finding.name not in self._said:
                self._said.add(finding.name)
                level = logging.WARNING if finding.is_illness else logging.INFO
                _log.log(level, "health: %s", finding.line())


def _said_in(log: Path) -> set[str]:
    """Return the names of the findings that a log has lines of."""
    if log.is_symlink() or not log.is_file():
        return set()
    with log.open("rb") as file:
        text = file.read(_LONGEST_LOG).decode(errors="replace")
    return set(_LINE.findall(text))
