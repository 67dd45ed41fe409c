"""What a run writes down while it trains: ``metrics.jsonl`` and the TensorBoard events."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


class Recorder:
    """Appends records to a run's folder; a resumed run forgets what came after ``start``."""

    def __init__(self, folder: Path, *, start: int = 0) -> None:
        # a second of import time that only training should pay
        from torch.utils.tensorboard import SummaryWriter

        path = folder / METRICS
        kept = [record for record in read_metrics(folder) if record["step"] <= start]
        path.write_text("".join(f"{json.dumps(record)}\n" for record in kept))
        self._metrics = path.open("a")
        self._events = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write one record: numbers, or one level of named numbers such as σ per layer."""
        self._metrics.write(f"{json.dumps(_finite(record))}\n")
        self._metrics.flush()
        for key, value in record.items():
            if isinstance(value, Mapping):
                for name, number in value.items():
                    self._events.add_scalar(f"{key}/{name}", number, record["step"])
            elif key != "step":
                self._events.add_scalar(key, value, record["step"])

    def picture(self, path: Path, step: int) -> None:
        """Show a saved PNG in TensorBoard."""
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._events.add_image("samples", pixels, step, dataformats="HWC")

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        self._events.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the records of a run's ``metrics.jsonl``; a line cut off by a crash is left out."""
    path = folder / METRICS
    records: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def _finite(value: Any) -> Any:
    """JSON has no infinity: a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
