"""Command ``sngan export``: a run as one file for other people and programs."""

from typing import Any

from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.cli.paths import RUN_HELP, new_file, run_to_read
from sngan.tasks.sharing.export import export_run

DESCRIPTION = (
    "Write a run as one file. FILE.onnx is compared with torch in onnxruntime (pip install "
    "'sngan[onnx]'). FILE.pt2 needs torch but not sngan, and is opened again and compared. "
    "FILE.safetensors is a model for sngan, with its settings. FILE.md is a model card in the "
    "format of the Hugging Face hub. FILE.html is a page with samples, a morph, the curves and "
    "the card, which needs no other file."
)


def add_arguments(parser: CommandParser) -> None:
    """Add the flags of ``sngan export``."""
    parser.flag("run", str, RUN_HELP)
    parser.flag("--out", str, "FILE.onnx, .pt2, .safetensors, .md or .html", required=True)
    parser.switch("--overwrite", "replace the file at --out")
    flags.add_checkpoint_flag(parser)
    flags.add_code_flags(parser)


def run(values: dict[str, Any]) -> None:
    """Run ``sngan export``."""
    out = new_file(values["out"], overwrite=values["overwrite"])
    checked = export_run(run_to_read(values["run"]), out, checkpoint=values["checkpoint"])
    print(f"export: {values['out']} ({checked})")
