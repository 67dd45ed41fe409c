"""Text from files and libraries, made printable on one line."""

import os
import re
import shlex
import unicodedata

# control, format (bidirectional marks among them), surrogates, line and paragraph separators
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# torch, NumPy and datasets advise the user to run the code in a file
_UNSAFE = re.compile(
    r"weights[_ ]only|allow_pickle|pickled|trust_remote_code|safe_globals|trust the source",
    re.IGNORECASE,
)
# <_io.BytesIO object at 0x7f3a>, <ZipInfo filename='a.png' ...>
_OBJECT = re.compile(r"<(?:[^<>]|<[^<>]*>)* at 0x[0-9a-f]+>|<ZipInfo [^<>]*>")
_NOT_PLAIN = "its content is not plain data, and sngan loads nothing else"


def printable(text: str) -> str:
    r"""Return ``text`` with an escape for each character that a terminal obeys or hides.

    Control characters, escape sequences, line ends, bidirectional marks and bytes that are not
    UTF-8 become ``\x1b``, ``\n``, ``\u202e``, ``\xff``; a name of a file or a class can neither
    move the cursor nor forge a line.
    """
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, printable; without a text, the name of its class.

    Advice of a library to load a file without protection is replaced, and so is Python's name of
    an object in memory.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return _NOT_PLAIN if _UNSAFE.search(line) else printable(_OBJECT.sub("an object", line))


def class_and_line(error: BaseException) -> str:
    """Return the class of an error and the first line of its text: ``KeyError: 'step'``."""
    return f"{type(error).__name__}: {first_line(error)}"


def on_one_line(text: object) -> str:
    """Return a text of several lines on one line, with one space between words."""
    return " ".join(str(text).split())


def as_file_name(text: str) -> str:
    """Return a text with a dash in place of what a file's name should not have.

    >>> as_file_name("parts.methods:mine")
    'parts.methods-mine'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, and with more words where they depend on the number.

    Parameters
    ----------
    number
        The number.
    one
        The words after 1.
    many
        The words after another number; left out: ``one`` with an s.

    Examples
    --------
    >>> counted(1, "file"), counted(2237, "file"), counted(2, "class has", "classes have")
    ('1 file', '2,237 files', '2 classes have')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def last_line(error: BaseException) -> str:
    """Return the last line of an error's text: in a traceback it names the error itself."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def rough_duration(seconds: float) -> str:
    """Return a time in its largest fitting unit: ``40 s``, ``12 min``, ``30 h``, ``5 days``.

    >>> rough_duration(40), rough_duration(5000), rough_duration(108_000)
    ('40 s', '83 min', '30 h')
    """
    for size, unit in ((100, "s"), (100 * 60, "min"), (100 * 3600, "h")):
        if seconds < size:
            scale = {"s": 1, "min": 60, "h": 3600}[unit]
            return f"{seconds / scale:.2g} {unit}"
    return f"{seconds / 86400:.2g} days"


def shell_word(text: str) -> str:
    r"""Return a word that a shell reads as ``text``, printable as it is.

    Examples
    --------
    >>> print(shell_word("my photos"), shell_word("a\nb"))
    'my photos' $'a\x0ab'
    """
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(
        rf"\{one}" if one in "\\'" else one if one.isprintable() else _in_bytes(one) for one in text
    )
    return f"$'{escaped}'"


def path_word(path: str) -> str:
    """Return a path as a word of a command line that looks like no flag.

    Examples
    --------
    >>> path_word("-my run"), path_word("runs/photos")
    ("'./-my run'", 'runs/photos')
    """
    return shell_word(f"./{path}" if path.startswith("-") else path)


def _in_bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # this stands for a byte that could not be decoded
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
