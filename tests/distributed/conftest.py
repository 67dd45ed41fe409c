"""Results of two ranks that share weights: they are started once for all files of this folder."""

from pathlib import Path

import pytest
import torch

from helpers.sharded import TWO, all_cases, build, config_of
from sngan.engine import train_step
from sngan.engine.fabric import run_on_ranks
from sngan.runs import checkpoint


@pytest.fixture(scope="session")
def fsdp_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    torch.set_default_dtype(torch.float64)
    try:
        config = config_of("sn")
        state = build(config)
        train_step(config, state)
        checkpoint.rotate(state.state_dict(), folder / "double")
    finally:
        torch.set_default_dtype(torch.float32)
    run_on_ranks(TWO, all_cases, folder)
    return folder


@pytest.fixture(scope="session")
def fsdp_ranks(fsdp_folder) -> list[dict]:
    return [torch.load(fsdp_folder / f"rank{rank}.pt") for rank in (0, 1)]
