"""Command ``sngan train``: train a GAN."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sngan import config as configs
from sngan.callbacks import CALLBACKS, Callback, EarlyStopping, as_callbacks
from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import expanded, program
from sngan.distributed import collectives
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.reserve import reserve
from sngan.tasks.train import Interrupted, train
from sngan.utils.files import missing_folders, remove_if_empty
from sngan.utils.text import first_line, path_word

DESCRIPTION = (
    "Train a GAN; without flags: handwritten digits, spectral normalization. Any setting can be "
    "given without its group: --n_critic 1 for --method.n_critic 1."
)
_RESUME = "go on from the newest checkpoint of the run at --out, with the run's own settings"
_OVERWRITE = "replace a run that is at --out; your own files there stay"


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan train``."""
    flags.add_config_flags(parser)
    parser.expand = _expand
    parser.switch(
        "--resume",
        f"{_RESUME}; free to change: steps, "
        "the place of the data, how often to log, sample, save and evaluate, devices, compile …",
    )
    parser.switch(
        "--changed",
        "with --resume: accept other settings (such as lr) and other data (such as more images); "
        "from there on the run is not bit for bit an uninterrupted one",
    )
    parser.switch("--overwrite", _OVERWRITE)
    parser.flag(
        "--callbacks",
        str,
        f"callbacks, joined by commas: {', '.join(CALLBACKS)}, or package.module:name of a class, "
        "a function without arguments or a logger of Lightning Fabric",
        default="",
    )
    parser.flag(
        "--early_stop",
        str | None,
        "stop when this metric of the evaluations (--evaluation.every N) no longer improves, such "
        "as frechet or w1",
        default=None,
    )
    parser.flag(
        "--patience", int, "evaluations without a better value, for --early_stop", default=5
    )
    flags.add_allow_code(parser)
    parser.common = {**flags.COMMON, "--resume": _RESUME, "--overwrite": _OVERWRITE}


def run(values: dict[str, Any]) -> None:
    """Run ``sngan train``."""
    resume, overwrite = values.pop("resume"), values.pop("overwrite")
    changed, callbacks = values.pop("changed"), _callbacks(values)
    values.pop("config")
    config = configs.from_dict(values)
    missing, reserved = missing_folders(Path(config.out)), list[Path]()
    if not (values["out"] or resume or overwrite):
        reserved = [reserve(Path(config.out))]
        config = replace(config, out=str(reserved[0]))
    try:
        run = train(
            config, resume=resume, overwrite=overwrite, changed=changed, callbacks=callbacks
        )
    except ValueError:
        # A refused request made some empty folders: the reserved one and those above it.
        for folder in dict.fromkeys([*reserved, *missing]):
            remove_if_empty(folder)
        raise
    except KeyboardInterrupt as stop:
        # a command that was stopped before it trained may have left nothing to go on from
        if isinstance(stop, Interrupted):
            stop.add_note(f"to go on: {program()} train --out {path_word(config.out)} --resume")
        elif resume:
            # the run still has the settings of before, without those of this command
            stop.add_note("the same command goes on")
        raise
    if not collectives.is_rank_zero():
        return
    print(f"samples: {run.folder / 'samples'}")
    print(f"report:  {run.folder / 'report.html'}")
    print(f"more:    {program()} generate {path_word(str(run.folder))} --n 100 --out grid.png")


def _callbacks(values: dict[str, Any]) -> tuple[Callback, ...]:
    """Return the callbacks that the flags ask for."""
    names = [name.strip() for name in values.pop("callbacks").split(",") if name.strip()]
    metric, patience = values.pop("early_stop"), values.pop("patience")
    stopping = [] if metric is None else [_early_stopping(metric, patience)]
    return as_callbacks([*names, *stopping])


def _early_stopping(metric: str, patience: int) -> Callback:
    try:
        return EarlyStopping(metric, patience=patience)
    except ValueError as error:
        line = str(error)
        raise ValueError(line.replace("metric:", "early_stop:", 1)) from error


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
