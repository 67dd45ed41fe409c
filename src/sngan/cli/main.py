"""The command line: its usage, its commands, its exit statuses."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import sngan
from sngan.cli.output import fail, with_dashes
from sngan.utils.streams import PrintableFormatter, tolerant_output
from sngan.utils.text import first_line

_COMMANDS = (
    "train",
    "generate",
    "report",
    "evaluate",
    "compare",
    "lipschitz",
    "distance",
    "cache",
)
# a run does not end because nobody watches it
_GO_ON = ("train", "compare")
_USAGE = """\
usage: sngan COMMAND ...

Train GANs whose critic has a controlled Lipschitz constant, and see what that control buys.

commands:
  train      train a generator on images or points; leaves a run folder with a report
  generate   draw samples from a run: a folder of PNGs, an .npz, or one grid PNG
  report     write a run's report.html again
  evaluate   measure a run's samples: distances to the data, precision, recall, modes covered
  compare    train methods side by side on the same data: one table, one report
  lipschitz  prove how steep a run's critic can be, layer by layer
  distance   measure the Wasserstein distance of two data sets, with its proof
  cache      how much is kept between commands, and how to remove it

start here:
  sngan train                                        handwritten digits, a few minutes
  sngan train --data photos/ --out runs/photos       your own folder or zip of images
  sngan generate runs/photos --n 64 --out grid.png

`sngan COMMAND --help` lists the flags of a command. Exit status: 0 done, 2 the request was
wrong, 1 it failed on the way, 130 interrupted (training: with a checkpoint saved).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    # before torch starts its threads: beside other programs, those that spin for long take the
    # core that the next one needs (an eighth of the speed); so short a wait costs 3 % alone
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    if argv[0] == "--version":
        print(f"sngan {sngan.__version__}")
        return 0
    with tolerant_output() as output:
        to_person = logging.StreamHandler()
        to_person.setLevel(logging.WARNING)
        to_person.setFormatter(PrintableFormatter("sngan: %(message)s"))
        logging.basicConfig(handlers=[to_person])
        status = _run(argv)
        output.flush()
        if output.error is not None and status == 0 and argv[0] not in _GO_ON:
            return fail(f"standard output: {first_line(output.error)}", status=1)
        return status


def _run(argv: list[str]) -> int:
    try:
        _command(argv[0]).run(argv[1:])
    except ValueError as error:
        return fail(with_dashes(str(error)), status=2)
    except KeyboardInterrupt as stop:
        return fail(str(stop) or "interrupted", status=130)
    except SystemExit as end:
        # --help and --print_config end here
        return int(end.code or 0)
    except Exception as error:
        return fail(str(error) or type(error).__name__, status=1)
    return 0


def _command(name: str) -> Any:
    """The module of a command; only the command that was asked for is imported."""
    if name not in _COMMANDS:
        raise ValueError(f"COMMAND: expected one of {', '.join(_COMMANDS)}, got {name!r}")
    return importlib.import_module(f"sngan.cli.{name}")
