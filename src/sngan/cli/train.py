"""Command ``sngan train``: train a GAN."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sngan import config as configs
from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import expanded, program
from sngan.distributed import collectives
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.reserve import reserve
from sngan.tasks.train import Interrupted, train
from sngan.utils.files import missing_folders, remove_if_empty
from sngan.utils.text import first_line, shell_word

DESCRIPTION = (
    "Train a GAN; without flags: handwritten digits, spectral normalization. "
    "Usual flags: --data SOURCE --out RUN --method M --model M --steps N --seed S. Any "
    "setting can be given without its group (--n_critic 1) or as --set key=value ..."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan train``."""
    flags.add_config_flags(parser)
    parser.expand = _expand
    parser.switch(
        "--resume",
        "go on from the newest checkpoint, with the run's own settings; free to change: steps, "
        "the place of the data, how often to log, sample, save and evaluate, devices, compile …",
    )
    parser.switch(
        "--changed",
        "with --resume: accept other settings (such as lr) and other data (such as more images); "
        "from there on the run is not bit for bit an uninterrupted one",
    )
    parser.switch("--overwrite", "replace a run that is at --out; your own files there stay")


def run(values: dict[str, Any]) -> None:
    """Run ``sngan train``."""
    resume, overwrite = values.pop("resume"), values.pop("overwrite")
    changed = values.pop("changed")
    values.pop("config")
    config = configs.from_dict(values)
    missing, reserved = missing_folders(Path(config.out)), list[Path]()
    if not (values["out"] or resume or overwrite):
        reserved = [reserve(Path(config.out))]
        config = replace(config, out=str(reserved[0]))
    try:
        run = train(config, resume=resume, overwrite=overwrite, changed=changed)
    except ValueError:
        # A refused request made some empty folders: the reserved one and those above it.
        for folder in dict.fromkeys([*reserved, *missing]):
            remove_if_empty(folder)
        raise
    except KeyboardInterrupt as stop:
        # a command that was stopped before it trained may have left nothing to go on from
        if isinstance(stop, Interrupted) or resume:
            stop.add_note(f"to go on: {program()} train --out {_as_word(config.out)} --resume")
        raise
    if not collectives.is_rank_zero():
        return
    print(f"samples: {run.folder / 'samples'}")
    print(f"report:  {run.folder / 'report.html'}")
    print(f"more:    sngan generate {run.folder} --n 100 --out grid.png")


def _as_word(path: str) -> str:
    """Return a path as a word of a command line; it does not look like a flag."""
    return shell_word(f"./{path}" if path.startswith("-") else path)


def _expand(argv: Sequence[str]) -> list[str]:
    """Replace short forms by full flags; a resumed run's own settings come before them."""
    expanded = flags.expand(argv)
    return [*_settings_of_run(expanded), *expanded] if "--resume" in expanded else expanded


def _settings_of_run(argv: list[str]) -> list[str]:
    """Return the settings of the run at ``--out`` as flags, so that they need not be repeated."""
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, given = flag.partition("=")
        if name == "--out":
            path = ManagedRunFolder(expanded(given if equals else value)).settings_path()
            try:
                return flags.settings_in(path) if path.is_file() else []
            except ValueError as error:
                expected = "a run folder at --out with sngan's settings"
                got = f"{path} ({first_line(error)})"
                raise ValueError(f"resume: expected {expected}, got {got}") from error
    return []
