"""Run folder: the name and path of every file of a run."""

import re
from pathlib import Path

PAGE_MARK = " · sngan</title>".encode()
"""Bytes near the start of every HTML page that sngan writes, in all versions."""

SHARDED_FOLDER = re.compile(r"step-\d{6,}-[0-9a-f]{6}\.shards")
"""The names of folders with the sharded tensors of a checkpoint."""


class RunFolder:
    """The files of a run. Each name is defined here once; all code takes it from here."""

    CONFIG = "config.yaml"
    METRICS = "metrics.jsonl"
    GENERATOR, BEST_GENERATOR = "generator.safetensors", "generator-best.safetensors"
    LOG = "train.log"
    SKIPPED = "skipped.txt"
    REPORT = "report.html"
    MEASURED = "measured.json"
    EVALUATIONS = "evaluations.jsonl"
    EVENTS = "events.out.tfevents"
    CHECKPOINTS, SAMPLES, LIPSCHITZ = "checkpoints", "samples", "lipschitz"
    REAL_SAMPLES = f"{SAMPLES}/real.png"
    # inside CHECKPOINTS; earlier versions wrote NEXT first
    LAST, PREVIOUS, NEXT, BEST = "last.pt", "previous.pt", "next.pt", "best.pt"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        """The settings as YAML."""
        return self.path / self.CONFIG

    @property
    def metrics(self) -> Path:
        """The records, one JSON object a line."""
        return self.path / self.METRICS

    @property
    def generator(self) -> Path:
        """The weights of the averaged generator."""
        return self.path / self.GENERATOR

    @property
    def best_generator(self) -> Path:
        """The weights of the averaged generator of :attr:`best_checkpoint`."""
        return self.path / self.BEST_GENERATOR

    @property
    def log(self) -> Path:
        """The log."""
        return self.path / self.LOG

    @property
    def skipped(self) -> Path:
        """The files of the data that could not be read."""
        return self.path / self.SKIPPED

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.path / self.REPORT

    @property
    def measured(self) -> Path:
        """The figures that a comparison computed after the run."""
        return self.path / self.MEASURED

    @property
    def evaluations(self) -> Path:
        """The results of ``sngan evaluate``, one JSON object a line."""
        return self.path / self.EVALUATIONS

    @property
    def samples(self) -> Path:
        """The folder of sample grids."""
        return self.path / self.SAMPLES

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / self.CHECKPOINTS

    @property
    def last_checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / self.LAST

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint with the best metric."""
        return self.checkpoints / self.BEST

    @property
    def where_to_look(self) -> str:
        """The paths of the log and of the last checkpoint, for error messages."""
        return f"log: {self.log}; last checkpoint: {self.last_checkpoint}"

    @property
    def real_samples(self) -> Path:
        """The picture of real samples."""
        return self.path / self.REAL_SAMPLES

    def sample_grid_name(self, step: int) -> str:
        """The name of the sample grid of a step."""
        return f"{self.SAMPLES}/step-{step:06d}.png"

    def has_checkpoint(self) -> bool:
        """Whether a run can be resumed from here."""
        return any(self.checkpoints.glob("*.pt"))


def checkpoint_name(step: int) -> str:
    """The name of a checkpoint that is kept for good, inside ``checkpoints``."""
    return f"step-{step:06d}.pt"


def is_kept(step: int, keep_every: int | None) -> bool:
    """Whether the checkpoint of this step is kept for good."""
    return bool(keep_every) and step > 0 and step % keep_every == 0


def _alternatives(*names: str) -> str:
    return "|".join(map(re.escape, names))


RUN_FILE = re.compile(
    _alternatives(
        RunFolder.CONFIG,
        RunFolder.GENERATOR,
        RunFolder.BEST_GENERATOR,
        RunFolder.METRICS,
        RunFolder.LOG,
        RunFolder.SKIPPED,
        RunFolder.REPORT,
        RunFolder.MEASURED,
        RunFolder.EVALUATIONS,
    )
    + rf"|{re.escape(RunFolder.EVENTS)}\.[\w.-]+"
    + rf"|{RunFolder.SAMPLES}/(step-\d{{6,}}|real)\.png"
    + rf"|{RunFolder.LIPSCHITZ}/(layers|cone|potentials)\.png"
    # step-000500.pt, last.pt, and the files of sharded tensors
    + rf"|{RunFolder.CHECKPOINTS}/[\w-][\w.-]*(/[\w.-]+)?"
)
"""The pattern of the names that sngan gives to the files of a run."""
