"""Log file of a run, ``train.log``, and the list of files that could not be read."""

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from typing_extensions import override

from sngan import data
from sngan.config import Config
from sngan.runs.managed import ManagedRunFolder
from sngan.utils.files import write_bytes
from sngan.utils.streams import PrintableFormatter
from sngan.utils.text import printable

_log = logging.getLogger("sngan")


@contextmanager
def logging_to(path: Path) -> Generator[None]:
    """Append the lines that sngan logs inside the context to a file."""
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(handler)
    level = _log.level
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.setLevel(level)
        _log.removeHandler(handler)
        # a full disk may raise its first error here
        with suppress(OSError):
            handler.close()


def record_skipped(dataset: data.Dataset, folder: ManagedRunFolder) -> None:
    """Write the files that the data set could not read to the log and to ``skipped.txt``.

    A resumed run logs those that are not in its file yet.
    """
    lines = [printable(f"{skipped.name}: {skipped.reason}") for skipped in dataset.skipped]
    if not lines:
        return
    path = folder.files.claim(folder.SKIPPED)
    known = set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set[str]()
    for line in lines:
        if line not in known:
            _log.info("skipped %s", line)
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def log_held_out(config: Config, dataset: data.Dataset) -> None:
    """Write to the log how many images are kept from training, or why there are none."""
    count = int(config.data.held_out or 0)
    if count:
        _log.info(
            "held out: %d of %d images, kept from training to check the run's health "
            "(data.held_out)",
            count,
            len(dataset),
        )
    elif dataset.stream is not None:
        _log.info("held out: none, because the images are streamed")


class _LogFile(logging.FileHandler):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore errors of the disk. A checkpoint, which needs the disk, reports them."""
