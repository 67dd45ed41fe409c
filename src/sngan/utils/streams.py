"""Output streams whose errors cannot end a program: closed pipes, lost or limited terminals."""

import errno
import io
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from typing_extensions import override

from sngan.utils.text import printable

_PLAIN = str.maketrans({
    "∇": "grad ", "σ": "sigma", "₁": "1", "ᵢ": "i", "≥": ">=", "≤": "<=", "±": "+-", "–": "-",
    "−": "-", "…": "...", "∞": "inf", "·": "-", "→": "->", "×": "x", "∂": "d", "²": "^2", "é": "e",
})  # fmt: skip


class OnceFilter(logging.Filter):
    """Lets each line of a log pass once: a command may read one data set several times."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is new."""
        line = record.getMessage()
        is_new = line not in self._seen
        self._seen.add(line)
        return is_new


class TolerantStream(io.TextIOBase):
    """A text stream that keeps its first error in ``error`` and then discards all output.

    Characters that the encoding of the terminal lacks are replaced by others or by escapes. The
    stream is None in a program that was started with a closed stream.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = io.StringIO() if stream is None else stream
        is_closed = stream is None
        self.error: Exception | None = OSError(errno.EBADF, "closed") if is_closed else None

    @override
    def write(self, text: str, /) -> int:
        if self.error is None:
            try:
                self._write(text)
            except (OSError, ValueError) as error:
                self.error = error
        return len(text)

    @override
    def flush(self) -> None:
        if self.error is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.error = error

    @override
    def isatty(self) -> bool:
        return self.error is None and self._stream.isatty()

    @override
    def fileno(self) -> int:
        return self._stream.fileno()

    @override
    def writable(self) -> bool:
        return True

    @property
    @override
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._stream.encoding or "utf-8"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            plain = text.translate(_PLAIN).encode(self.encoding, "backslashreplace")
            self._stream.write(plain.decode(self.encoding))


class PrintableFormatter(logging.Formatter):
    """Formats a message on one line, even if a name in it has line ends; marks traceback lines."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    @override
    def formatException(self, ei: object) -> str:
        lines = super().formatException(ei).splitlines()  # pyright: ignore[reportArgumentType]
        return "\n".join(f"  | {printable(line)}" for line in lines)


def tolerant(stream: TextIO) -> TextIO:
    """Return the stream inside a :class:`TolerantStream`, unless it is one already."""
    # pyright does not accept this class as a TextIO, although it has the same methods
    return stream if isinstance(stream, TolerantStream) else cast(TextIO, TolerantStream(stream))


@contextmanager
def tolerant_output() -> Generator[TolerantStream]:
    """Make standard output and standard error tolerant; yield standard output."""
    former = sys.stdout, sys.stderr
    out, errors = TolerantStream(sys.stdout), TolerantStream(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, errors)
    try:
        yield out
    finally:
        for tried in (out, errors):
            tried.flush()
            if isinstance(tried.error, OSError):
                _discard(tried)
        sys.stdout, sys.stderr = former


def _discard(stream: TolerantStream) -> None:
    """Connect a failed stream to the null device, so that Python's flush at exit cannot fail."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
