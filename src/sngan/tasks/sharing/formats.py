"""Model files for other programs: ONNX, checked in onnxruntime, and PT2, checked in torch."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sngan.runs.run import Run
from sngan.tasks.sharing.sampler import (
    INPUTS,
    SETTINGS,
    Sampler,
    any_number,
    example,
    require_equal,
    settings_text,
    without_chatter,
)
from sngan.utils.files import write_bytes

# a size that no layer has for other reasons
_TRACED = 3


def write_pt2(run: Run, out: Path) -> float:
    """Write a program of ``torch.export``, which needs torch but not sngan; return the difference.

    ``torch.export.load(file).module()(noise)`` generates samples.

    Parameters
    ----------
    run
        The run.
    out
        The file.

    Raises
    ------
    RuntimeError
        If the file that was read again computes other samples.
    """
    buffer, settings = io.BytesIO(), settings_text(run)
    inputs = example(run, _TRACED)
    with without_chatter():
        program = torch.export.export(
            Sampler(run).eval(), inputs, dynamic_shapes=any_number(INPUTS[: len(inputs)])
        )
        torch.export.save(program, buffer, extra_files={SETTINGS: settings})
        opened = torch.export.load(io.BytesIO(buffer.getvalue())).module()
        difference = require_equal(run, lambda inputs: opened(*inputs), program="the file")
    write_bytes(out, buffer.getvalue())
    return difference


def write_onnx(run: Run, out: Path) -> float:
    """Write an ONNX file for any number of samples; return the difference in onnxruntime.

    Inputs are ``noise``, float32 ``(n, latent_dim)``, and for a conditional run ``labels``, int64
    ``(n,)``; the output is ``samples``.

    Parameters
    ----------
    run
        The run.
    out
        The file.

    Raises
    ------
    ValueError
        If a package is missing.
    RuntimeError
        If onnxruntime computes other samples than torch.
    """
    onnxruntime = _packages()
    inputs = example(run, _TRACED)
    names = INPUTS[: len(inputs)]
    with without_chatter(), contextlib.redirect_stdout(io.StringIO()):
        program: Any = torch.onnx.export(
            Sampler(run).eval(),
            inputs,
            dynamo=True,
            verbose=False,
            input_names=list(names),
            output_names=["samples"],
            dynamic_shapes=any_number(names),
        )
        program.model.metadata_props[SETTINGS] = settings_text(run)
        content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def opened(values: Sequence[Tensor]) -> Tensor:
        given = {name: value.numpy() for name, value in zip(names, values, strict=True)}
        return torch.from_numpy(session.run(["samples"], given)[0])

    difference = require_equal(run, opened, program="onnxruntime")
    write_bytes(out, content)
    return difference


def _packages() -> Any:
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except ImportError as error:
        raise ValueError(
            f"out: expected the packages onnx, onnxscript and onnxruntime for .onnx, got none "
            f"named {error.name}; pip install 'sngan[onnx]'"
        ) from error
    return onnxruntime
