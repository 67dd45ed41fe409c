"""Error texts of damaged files, cut to a length that fits into one line."""

from sngan.utils.text import first_line

_LONGEST = 200


def short_reason(error: BaseException) -> str:
    """Return the first line of an error's text, printable, and at most 200 characters of it."""
    return first_line(error)[:_LONGEST]
