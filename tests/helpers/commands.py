"""Commands of sngan in processes of their own that fork from a server, which has done the imports.

Such a process has its own exit status, output, signals, environment and folder, like one that
``python -m sngan`` starts, and costs none of the four seconds of CPU time for its imports.
"""

import atexit
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from helpers.forkserver import CONTEXT
from sngan.cli import main


class Command:
    """A started command, with the methods and names of ``subprocess.Popen``.

    With ``nohup`` it ignores SIGHUP, else it does not, whatever this process does.
    """

    def __init__(self, *arguments: str, nohup: bool = False) -> None:
        pipes = [multiprocessing.Pipe(duplex=False) for _ in ("stdout", "stderr")]
        self.stdout, self.stderr = (_text(reader) for reader, _ in pipes)
        writers = [writer for _, writer in pipes]
        self._process = CONTEXT.Process(
            target=_run, args=(arguments, nohup, dict(os.environ), Path.cwd(), *writers)
        )
        self._process.start()
        # a test that fails leaves its command behind, and Python would wait for it at its end
        atexit.register(self.kill)
        for writer in writers:
            writer.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float = 120) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            raise TimeoutError(f"the command did not end within {timeout} s")
        return self._process.exitcode

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        with ThreadPoolExecutor(2) as pool, self.stdout, self.stderr:
            texts = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            self.wait(timeout)
            return texts[0].result(), texts[1].result()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            # the process may end in between
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _text(reader: Connection) -> IO[str]:
    file = open(os.dup(reader.fileno()), encoding="utf-8")  # noqa: PTH123, SIM115
    reader.close()
    return file


def _run(
    arguments: tuple[str, ...],
    nohup: bool,
    environment: dict[str, str],
    folder: Path,
    stdout: Connection,
    stderr: Connection,
) -> None:
    for number, writer in ((1, stdout), (2, stderr)):
        os.dup2(writer.fileno(), number)
        writer.close()
    sys.stdout, sys.stderr = (
        open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.exit(main(arguments))
