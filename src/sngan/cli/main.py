"""Main program `sngan`: the table of commands, the usage, the exit statuses."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import sngan
from sngan.cli.output import fail, say_interrupted, with_dashes
from sngan.cli.paths import file_to_write
from sngan.utils import consent
from sngan.utils.checks import require_one_of
from sngan.utils.signals import exit_at_once
from sngan.utils.streams import OnceFilter, PrintableFormatter, tolerant_output
from sngan.utils.text import first_line

if TYPE_CHECKING:
    from sngan.cli.parser import CommandParser

COMMANDS = {
    "train": "train a generator on images or points; makes a run folder with a report",
    "generate": "draw samples from a run: a folder of PNGs, an .npz, or one grid",
    "morph": "draw the way from seed to seed of a run, as a GIF, an MP4 or a strip",
    "film": "show how the samples of a run got better in training, as a GIF or an MP4",
    "export": "write a run as ONNX, PT2, safetensors, a model card or a page to pass on",
    "push": "put a run on the Hugging Face hub",
    "report": "write the report of a run or comparison again",
    "evaluate": "measure a run's samples: distances to the data, precision, recall, modes covered",
    "doctor": "say whether a run is healthy, with figures, and which flags to try if it is not",
    "compare": "train methods side by side on the same data: one table, one report",
    "lipschitz": "prove how steep a run's critic or a network of your own can be",
    "certify": "certify the predictions of a classifier within radii, and attack them",
    "verify": "check the certificate of a Lipschitz bound against its network",
    "distance": "measure the Wasserstein distance of two data sets, with its proof",
    "data": "show what a source is read as: sizes, crop, classes, and a picture of its samples",
    "cache": "show or remove the files that sngan keeps between commands",
    "methods": "list the methods, losses and penalties, with a line each",
    "models": "list the families of networks, with a line each",
    "help": "show this text, or the flags of a command: sngan help train",
    "version": "show the versions of sngan, Python and torch",
    "completion": "print what makes bash or zsh complete commands and flags",
}
"""The commands with their lines of help; each one is the module of its name in this package."""

# these commands go on when their output cannot be written: the run folder has their results
_GO_ON = ("train", "compare")
_USAGE = """\
usage: sngan COMMAND ...

Train GANs whose critic has a controlled Lipschitz constant, and see how much it helps.

commands:
{commands}

start here:
  sngan train                                        handwritten digits, a few minutes
  sngan data photos/ --out photos.png                what your folder or zip of images is read as
  sngan train --data photos/ --out runs/photos       train on it
  sngan generate runs/photos --n 64 --out grid.png

`sngan COMMAND --help` lists the flags of a command. Exit status: 0 done, 2 the request was
wrong, 1 it failed on the way, 130 interrupted (training: with a checkpoint saved).
"""


class Command(Protocol):
    """The module of a command."""

    DESCRIPTION: str

    def add_arguments(self, parser: "CommandParser") -> None:
        """Add the flags of the command."""
        ...

    def run(self, values: dict[str, Any]) -> None:
        """Run the command with the values of its flags."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    The status is 0 if all is done, 1 if the command failed, 2 if the request was wrong, and 130 if
    it was interrupted.

    Examples
    --------
    >>> from sngan.cli.main import main
    >>> main(["--version"])  # doctest: +ELLIPSIS
    sngan ...
    0
    """
    # This must be set before torch starts its threads. Threads that wait in a long loop take cores
    # from other programs, which costs an eighth of the speed. A short loop costs 3 % on a free CPU.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0
    if argv[0] == "--version":
        print(f"sngan {sngan.__version__}")
        return 0
    with tolerant_output() as output:
        to_person = logging.StreamHandler()
        to_person.setLevel(logging.WARNING)
        to_person.addFilter(OnceFilter())
        to_person.setFormatter(PrintableFormatter("sngan: %(message)s"))
        logging.basicConfig(handlers=[to_person])
        status = _run(argv)
        output.flush()
        if output.error is not None and status == 0 and argv[0] not in _GO_ON:
            return fail(f"standard output: {first_line(output.error)}", status=1)
        return status


def usage() -> str:
    """Return the text of ``sngan --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return _USAGE.format(commands="\n".join(lines))


def _run(argv: list[str]) -> int:
    try:
        _run_command(argv[0], argv[1:])
    except ValueError as error:
        return fail(with_dashes(str(error)), status=2)
    except KeyboardInterrupt as stop:
        return say_interrupted(stop)
    except SystemExit as end:
        # --help and --print_config end here
        return int(end.code or 0)
    except Exception as error:
        return fail(str(error) or type(error).__name__, status=1)
    return 0


def parser_of(name: str) -> "tuple[Command, CommandParser]":
    """Return the module of a command and its parser; some modules take seconds to import.

    Raises
    ------
    ValueError
        If there is no such command; the error suggests near names.
    """
    require_one_of(name, "COMMAND", choices=COMMANDS)
    command = cast(Command, importlib.import_module(f"sngan.cli.{name}"))
    # `sngan --help` needs no parser, whose import takes a tenth of a second
    from sngan.cli.parser import CommandParser

    parser = CommandParser(name, description=command.DESCRIPTION)
    command.add_arguments(parser)
    return command, parser


def _run_command(name: str, argv: list[str]) -> None:
    with exit_at_once():
        command, parser = parser_of(name)
    before = consent.consent()
    try:
        # a name that stands on this command line may be imported, and no other one
        consent.allow_words(argv)
        values = parser.parse(argv)
        if values.pop("allow_code", False):
            consent.allow_all()
        if values.get("json") not in (None, "-"):
            # the figures can take minutes, so the file is checked first
            file_to_write(values["json"], "json")
        command.run(values)
    finally:
        consent.restore(before)
