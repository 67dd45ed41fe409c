"""Runs of the Hugging Face hub, ``hf:USER/NAME``: names, downloads, and errors of one line."""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sngan.runs.layout import RunFolder
from sngan.utils.checks import require
from sngan.utils.text import first_line

CARD = "README.md"
"""The name of the model card on the hub."""

PUBLISHED = (
    RunFolder.GENERATOR,
    RunFolder.CONFIG,
    RunFolder.METRICS,
    f"{RunFolder.SAMPLES}/step-*.png",
    CARD,
)
"""The files of a run on the hub: everything that commands read from a run, except checkpoints."""

_REFERENCE = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_SIGN_IN = "`hf auth login` or HF_TOKEN gives a token"


def is_hub_name(text: object) -> bool:
    """Whether a text or path names something on the hub."""
    return str(text).startswith("hf:")


def is_run_folder(run: str | Path) -> bool:
    """Whether a run is a folder of the user's: no copy of a run of the hub, and no model file."""
    return not (is_hub_name(run) or Path(run).is_file())


def repository(text: str, argument: str) -> tuple[str, str | None]:
    """Return the name and the revision of ``hf:USER/NAME[@REVISION]``.

    Raises
    ------
    ValueError
        If the text has another form.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{argument}: expected hf:USER/NAME[@REVISION], got {text!r}")
    return found["name"], found["revision"]


def local_run(run: str | Path, *, argument: str = "run") -> Path:
    """Return the folder or file of a run; one of the hub is downloaded into the hub's own cache.

    Without network the last copy is used.

    Parameters
    ----------
    run
        A folder, a file, or ``hf:USER/NAME[@REVISION]``.
    argument
        The argument that names the run, for errors.

    Raises
    ------
    ValueError
        If the package or the run is missing, or the hub does not answer and there is no copy.
    """
    if not is_hub_name(run):
        return Path(run)
    name, revision = repository(str(run), argument)
    with hub(argument, str(run)) as client:
        copy: str = client.snapshot_download(
            name, revision=revision, allow_patterns=list(PUBLISHED)
        )
    folder = RunFolder(Path(copy))
    expected = f"a run of sngan's with {folder.generator.name}"
    require(folder.generator.is_file(), argument, expected=expected, got=f"{run} without it")
    # somebody may publish the one file only
    return folder.path if folder.config.is_file() else folder.generator


@contextmanager
def hub(argument: str, name: str) -> Generator[Any]:
    """Yield the package ``huggingface_hub``; its errors become a ``ValueError`` of one line.

    Parameters
    ----------
    argument
        The argument that has the name.
    name
        ``hf:USER/NAME``.
    """
    try:
        import huggingface_hub as client  # pyright: ignore[reportMissingImports]
        from huggingface_hub import utils  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{argument}: expected the package `huggingface_hub` for hf:…, got none; "
            "pip install 'sngan[hub]'"
        ) from error
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    try:
        yield client
    except Exception as error:
        # the package raises its own errors, and those of the HTTP library that its version uses
        raise ValueError(f"{argument}: expected {_said(error, name)}") from error


def _said(error: Exception, name: str) -> str:
    from huggingface_hub import constants, errors  # pyright: ignore[reportMissingImports]

    if isinstance(error, errors.GatedRepoError):
        return f"a run that your token may read, got {name}, whose owner has to allow it"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"a run on the hub, got {name}: none is there, or it is private ({_SIGN_IN})"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"a revision that the hub has, got {name}"
    if isinstance(error, errors.HFValidationError):
        return f"a name of the hub, got {name} ({first_line(error)})"
    if isinstance(error, errors.HfHubHTTPError):
        response: Any = getattr(error, "response", None)
        status = getattr(response, "status_code", 0)
        if status in (401, 403):
            return f"a token with the right to do this with {name} ({_SIGN_IN}), got {status}"
        return f"the hub to accept {name}, got {first_line(error)}"
    return f"an answer of the hub at {constants.ENDPOINT}, got none ({_reason(error)})"


def _reason(error: BaseException) -> str:
    """Return the first cause of an error: the error around it explains the settings of the hub."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
