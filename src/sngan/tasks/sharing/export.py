"""Export of a run for other people and programs: model files, a card, a page."""

from pathlib import Path

from sngan.runs.chosen import LAST
from sngan.runs.model_file import write_model_file
from sngan.runs.run import load
from sngan.tasks.sharing.card import write_card
from sngan.tasks.sharing.formats import write_onnx, write_pt2
from sngan.tasks.sharing.page import write_page
from sngan.utils.endings import require_ending

ENDINGS = (".onnx", ".pt2", ".safetensors", ".md", ".html")
"""The endings of the files that a run is exported to."""


def export_run(reference: str | Path, out: Path, *, checkpoint: str | int = LAST) -> str:
    """Write a run as one file for other people and programs; return what was checked.

    Parameters
    ----------
    reference
        The run: its folder, its generator's file, or ``hf:USER/NAME``.
    out
        ``FILE.onnx`` is compared with torch in onnxruntime, ``FILE.pt2`` is opened again by torch
        and compared, ``FILE.safetensors`` is a model for sngan, ``FILE.md`` is a model card, and
        ``FILE.html`` a page.

    checkpoint
        The weights, as for :func:`sngan.load`.

    Raises
    ------
    ValueError
        If there is no such run, the ending is unknown, or a package is missing.
    RuntimeError
        If the exported file computes other samples.
    """
    ending = require_ending(out, ENDINGS)
    run = load(reference, checkpoint=checkpoint)
    out.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".onnx":
        return f"equal to torch within {write_onnx(run, out):.1e} in onnxruntime"
    if ending == ".pt2":
        return f"opened again, equal within {write_pt2(run, out):.1e}"
    if ending == ".safetensors":
        write_model_file(run.generator, out, run.config)
        return "a model for `sngan generate`"
    if ending == ".md":
        write_card(run, out)
        return "a model card"
    write_page(run, out)
    return "one page, which needs no other file"
