"""Reasons of errors in files, short enough for one line."""

from sngan.utils.text import first_line

_LONGEST = 200


def reason(error: BaseException) -> str:
    """The first line of an error's text, printable, and no longer than a person reads."""
    return first_line(error)[:_LONGEST]
