"""Results of two ranks that share weights: they are started once for all files of this folder."""

from pathlib import Path

import pytest
import torch

from helpers.ranks import on_ranks
from helpers.sharded import SLOW, TWO, all_cases, build, config_of, slow_cases
from helpers.shared import made_once
from sngan.engine import train_step
from sngan.runs import checkpoint


@pytest.fixture(scope="session")
def fsdp_folder(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "fsdp_ranks", _train_all_cases)


def _train_all_cases(folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        config = config_of("sn")
        state = build(config)
        train_step(config, state)
        checkpoint.rotate(state.state_dict(), folder / "double")
    finally:
        torch.set_default_dtype(torch.float32)
    on_ranks(TWO, all_cases, folder)


@pytest.fixture(scope="session")
def fsdp_ranks(fsdp_folder) -> list[dict]:
    return [torch.load(fsdp_folder / f"rank{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="session")
def fsdp_slow_ranks(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("slow_ranks")
    on_ranks(TWO, slow_cases, folder)
    return [{"trained": torch.load(folder / f"rank{rank}.pt")} for rank in (0, 1)]


@pytest.fixture
def trained_by_ranks(request, case) -> list[dict]:
    """The result of a case on each of two ranks."""
    ranks = request.getfixturevalue("fsdp_slow_ranks" if case in SLOW else "fsdp_ranks")
    return [rank["trained"][case] for rank in ranks]
