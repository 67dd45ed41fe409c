"""The command line: parse, compose, run."""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sngan
from sngan.runs.reserve import reserve
from sngan.utils.files import (
    expand_home,
    missing_folders,
    naming,
    remove_if_empty,
    write_bytes,
)
from sngan.utils.streams import PrintableFormatter, tolerant_output
from sngan.utils.text import first_line, printable

_log = logging.getLogger("sngan")
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
_JSON_HELP = "write the figures as one JSON object to FILE; - is standard output, and nothing else"


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
            return _fail(f"standard output: {first_line(output.error)}", status=1)
        return status


def _run(argv: list[str]) -> int:
    try:
        _command(argv[0])(argv[1:])
    except ValueError as error:
        return _fail(_with_dashes(str(error)), status=2)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", status=130)
    except SystemExit as end:
        # --help and --print_config end here
        return int(end.code or 0)
    except Exception as error:
        return _fail(str(error) or type(error).__name__, status=1)
    return 0


def _command(name: str) -> Callable[[list[str]], None]:
    commands = {
        "train": _train,
        "generate": _generate,
        "report": _report,
        "evaluate": _evaluate,
        "compare": _compare,
        "lipschitz": _lipschitz,
        "distance": _distance,
        "cache": _cache,
    }
    if name not in commands:
        raise ValueError(f"COMMAND: expected one of {', '.join(commands)}, got {name!r}")
    return commands[name]


def _train(argv: list[str]) -> None:
    from sngan import _ranks as ranks
    from sngan import config as configs
    from sngan import flags, jobs
    from sngan.parser import CommandParser

    parser = CommandParser(
        "train",
        description="Train a GAN; without flags: handwritten digits, spectral normalization. "
        "Usual flags: --data SOURCE --out RUN --method M --model M --steps N --seed S. Any "
        "setting can be given without its group (--n_critic 1) or as --set key=value ...",
    )
    flags.add_config_flags(parser)
    parser.switch(
        "--resume",
        "go on from the newest checkpoint, with the run's own settings; steps, devices, nodes, "
        "strategy, compile and cuda_graphs may be others",
    )
    parser.switch("--overwrite", "replace a run that is at --out; files of yours there stay")
    argv = flags.expand(argv)
    if "--resume" in argv:
        argv = [*_settings_of_run(argv), *argv]
    values = parser.parse(argv, also=flags.short_names())
    resume, overwrite = values.pop("resume"), values.pop("overwrite")
    values.pop("config")
    config = configs.from_dict(values)
    missing, reserved = missing_folders(Path(config.out)), list[Path]()
    if not (values["out"] or resume or overwrite):
        reserved = [reserve(Path(config.out))]
        config = replace(config, out=str(reserved[0]))
    try:
        run = jobs.train(config, resume=resume, overwrite=overwrite)
    except ValueError:
        # a refused request leaves nothing of its own: neither a reserved folder nor those above
        for folder in dict.fromkeys([*reserved, *missing]):
            remove_if_empty(folder)
        raise
    if not ranks.is_first():
        return
    print(f"samples: {run.folder / 'samples'}")
    print(f"report:  {run.folder / 'report.html'}")
    print(f"more:    sngan generate {run.folder} --n 100 --out grid.png")


def _settings_of_run(argv: list[str]) -> list[str]:
    """The settings of the run that ``--out`` names, so that its flags need not be repeated."""
    from sngan import flags
    from sngan.runs.layout import RunFolder

    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, given = flag.partition("=")
        if name == "--out":
            path = RunFolder(_path(given if equals else value)).settings()
            try:
                return flags.settings_in(path) if path.is_file() else []
            except ValueError as error:
                expected = "a run folder at --out with sngan's settings"
                got = f"{path} ({first_line(error)})"
                raise ValueError(f"resume: expected {expected}, got {got}") from error
    return []


def _path(text: str) -> Path:
    """A path that somebody typed; the shell leaves a ``~`` behind ``=`` as it is."""
    return Path(expand_home(text))


def _opened(text: str) -> Path:
    """A folder that is only read; say so if its run or comparison still grows."""
    from sngan.runs.lock import holder_of

    folder = _path(text)
    holder = holder_of(folder)
    if holder is not None:
        _log.warning("%s is in use by %s: it is read as it is now", folder, holder)
    return folder


def _generate(argv: list[str]) -> None:
    import torch

    from sngan import run
    from sngan.export import export
    from sngan.parser import CommandParser

    parser = CommandParser(
        "generate", description="Draw samples from a run; its training data is not needed."
    )
    parser.flag("run", str, "the run's folder")
    parser.flag("--n", int, "number of samples", default=64)
    parser.flag("--out", str, "a folder, FILE.npz or FILE.png (one grid)", required=True)
    parser.flag("--seed", int, "the same seed gives the same samples", default=0)
    parser.flag(
        "--label",
        str,
        "class to draw, by name or index, for a conditional run",
        default=None,
    )
    parser.switch("--overwrite", "replace the samples at --out; files of yours there stay")
    values = parser.parse(argv)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    opened = run.load(_opened(values["run"]), device=device)
    label = values["label"]
    started = time.perf_counter()
    export(
        opened,
        _path(values["out"]),
        n=values["n"],
        seed=values["seed"],
        labels=None if label is None else opened.class_index(label),
        overwrite=values["overwrite"],
    )
    rate = values["n"] / (time.perf_counter() - started)
    print(f"samples: {values['out']} ({rate:,.0f} a second on {device})")


def _report(argv: list[str]) -> None:
    from sngan import jobs
    from sngan.parser import CommandParser

    parser = CommandParser(
        "report",
        description="Write a run's report.html, or a comparison's compare.html, from its records.",
    )
    parser.flag("run", str, "the folder of a run or of a comparison")
    print(f"report: {jobs.report(_opened(parser.parse(argv)['run']))}")


def _evaluate(argv: list[str]) -> None:
    from sngan import jobs
    from sngan.parser import CommandParser

    parser = CommandParser(
        "evaluate",
        description="Measure a run's samples against its data: Fréchet and kernel distance, "
        "precision and recall, density and coverage, Wasserstein distances, modes and classes "
        "covered, as far as each applies.",
    )
    parser.flag("run", str, "the run's folder")
    parser.flag("--data", str, "a SOURCE to compare with; left out: the run's", default=None)
    own = "left out: the run's setting"
    parser.flag(
        "--samples",
        int | None,
        f"generated samples, and at most as many real ones; {own}",
        default=None,
    )
    parser.flag(
        "--extractor",
        str,
        f"features: auto, points, pixels, domain or inception; {own}",
        default=None,
    )
    parser.flag("--weights", str, f"file of InceptionV3 weights; {own}", default=None)
    parser.flag("--seed", int, "which samples are drawn", default=0)
    parser.flag("--json", str, _JSON_HELP, default=None)
    values = parser.parse(argv)
    found = jobs.evaluate(
        _opened(values["run"]),
        source=values["data"],
        samples=values["samples"],
        extractor=values["extractor"],
        weights=values["weights"],
        seed=values["seed"],
    )
    _answer(found.to_dict(), found.table(), json_to=values["json"])


def _compare(argv: list[str]) -> None:
    from sngan import comparison, flags
    from sngan import config as configs
    from sngan.parser import CommandParser

    parser = CommandParser(
        "compare",
        description="Train methods side by side: same data, networks, first weights and budget. "
        "Leaves OUT/compare.html and compare.json, and goes on where it was stopped. Any setting "
        "of `sngan train` can be given, for all runs.",
    )
    parser.flag(
        "--methods", str, "names of methods, joined by commas", default="vanilla,wgan,wgan-gp,sn"
    )
    parser.flag("--seeds", int, "runs of each with different seeds", default=1)
    parser.flag(
        "--settings", str, "rows A to F of Miyato et al. 2018, table 1, such as A,D,F", default=""
    )
    parser.switch("--overwrite", "replace a comparison that is at --out; files of yours stay")
    flags.add_config_flags(parser, without=("method.name",))
    values = parser.parse(flags.expand(argv), also=flags.short_names())
    asked = {key: values.pop(key) for key in ("methods", "seeds", "settings", "overwrite")}
    values.pop("config")
    overrides = values.pop("method", {})
    found = comparison.compare(
        configs.from_dict(values),
        methods=_names(asked["methods"]),
        seeds=asked["seeds"],
        settings=_names(asked["settings"]),
        out=values["out"] or "runs/compare",
        overrides={key: value for key, value in overrides.items() if value is not None},
        overwrite=asked["overwrite"],
    )
    print(found.table())
    print(f"page: {found.folder / 'compare.html'}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _lipschitz(argv: list[str]) -> None:
    from sngan import jobs
    from sngan.parser import CommandParser

    parser = CommandParser(
        "lipschitz",
        description="Bound the Lipschitz constant of a run's critic: from above by a proof, from "
        "below by a point where it is that steep. Draws RUN/lipschitz/layers.png and cone.png.",
    )
    parser.flag("run", str, "the run's folder")
    parser.switch("--upper-only", "prove the upper bound, without the search for a steep point")
    parser.flag("--json", str, _JSON_HELP, default=None)
    values = parser.parse(argv)
    bounds, pictures = jobs.lipschitz_with_pictures(
        _opened(values["run"]), lower=not values["upper_only"], progress=True
    )
    lines = [bounds.table(), *(f"pictures: {picture.parent}" for picture in pictures[:1])]
    _answer(bounds.to_dict(), "\n".join(lines), json_to=values["json"])


def _distance(argv: list[str]) -> None:
    from sngan import jobs
    from sngan.parser import CommandParser

    parser = CommandParser(
        "distance",
        description="The Wasserstein-1 distance of two data sets, exact on N samples of each with "
        "a bracket that proves it, and the sliced distance of all samples; of streamed data, of "
        "10,000. The ground distance is Euclidean; images count as vectors of pixels in [-1, 1].",
    )
    parser.flag("source_x", str, "a SOURCE, as in `sngan train --data`")
    parser.flag("source_y", str, "another one, of samples of the same shape")
    parser.flag("--n", int, "samples of each for the exact distance", default=2000)
    parser.flag("--seed", int, "which samples are drawn", default=0)
    parser.flag("--json", str, _JSON_HELP, default=None)
    values = parser.parse(argv)
    found = jobs.distance(
        values["source_x"], values["source_y"], n=values["n"], seed=values["seed"]
    )
    _answer(found.to_dict(), found.table(), json_to=values["json"])


def _answer(data: dict[str, Any], text: str, *, json_to: str | None) -> None:
    """Print the text and write the JSON; to standard output only one of them."""
    import json

    line = json.dumps(data, indent=2)
    if json_to == "-":
        print(line)
        return
    print(text)
    if json_to is not None:
        _write_answer(_path(json_to), f"{line}\n".encode())
        print(f"json: {json_to}")


def _write_answer(path: Path, data: bytes) -> None:
    """Write a file in one piece, or into what is no file, such as a pipe."""
    with naming(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            write_bytes(path.resolve(), data)


def _cache(argv: list[str]) -> None:
    from sngan.parser import CommandParser
    from sngan.utils import cache

    parser = CommandParser(
        "cache",
        description="Show the folder in which sngan keeps decoded images, features of real samples "
        "and downloaded weights between commands. All of it can be made again; over "
        f"{cache.LIMIT / 2**30:.0f} GiB, the files used longest ago are removed.",
    )
    parser.switch("--clear", "remove its files")
    parser.flag("--json", str, _JSON_HELP, default=None)
    values = parser.parse(argv)
    found = cache.clear() if values["clear"] else cache.usage()
    said = "removed" if values["clear"] else "holds"
    text = f"{found.folder}\n{said} {found.files:,} files, {found.bytes / 2**20:,.1f} MiB"
    data = {**found._asdict(), "folder": str(found.folder), "limit": cache.LIMIT}
    _answer(data | {"cleared": values["clear"]}, text, json_to=values["json"])


def _fail(message: str, *, status: int) -> int:
    print(f"sngan: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return status


def _with_dashes(message: str) -> str:
    """``steps: expected …`` names an argument; the user typed ``--steps``."""
    name = message.partition(":")[0]
    is_setting = name.replace(".", "").replace("_", "").isalnum() and name.islower()
    is_position = name in ("run", "source_x", "source_y")
    return f"--{message}" if is_setting and not is_position else message
