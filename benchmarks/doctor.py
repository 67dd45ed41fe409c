"""Validation of `sngan doctor`: short runs, half of them made ill, and the confusion matrix.

    python -m benchmarks.doctor                     # train what is missing, then print the table
    python -m benchmarks.doctor --no-training       # judge the kept records again
"""

import contextlib
import hashlib
import io
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import argument_parser
from benchmarks.doctor_cases import IMAGES, Case, cases
from sngan import config as configs
from sngan.engine import TrainState
from sngan.engine.errors import TrainingError
from sngan.engine.train import train

assert TrainState


def run_case(case: Case, work: Path, cifar: Path | None) -> dict[str, Any]:
    """Train one run, and return its settings and records."""
    config = case.config(work, cifar)
    started, ended = time.process_time(), "done"
    quiet = contextlib.redirect_stdout(io.StringIO())
    with case.operation(config), quiet:
        try:
            train(config, overwrite=True)
        except TrainingError as error:
            ended = str(error).partition(";")[0]
    folder = Path(config.out)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    settings = configs.to_dict(configs.load(folder / "config.yaml"))
    # no path of this machine is kept
    settings["out"], settings["data"]["source"] = case.name, case.data
    return {
        "case": case.name,
        "ended": ended,
        "cpu_seconds": round(time.process_time() - started, 1),
        "settings": settings,
        "records": [_rounded(json.loads(line)) for line in lines],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> None:
    parser = argument_parser(__doc__, "doctor")
    parser.add_argument("--records", type=Path, default=Path("benchmarks/results/doctor"))
    parser.add_argument("--cifar", type=Path, default=Path("../shared/data/cifar10"),
                        help="folder of CIFAR-10 as Parquet; its runs are left out if it is missing")
    parser.add_argument("--no-training", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("sngan").setLevel(logging.ERROR)
    # in an order of their own, so that the runs that are done are a sample of all
    ordered = sorted(cases(), key=lambda one: hashlib.sha256(one.name.encode()).digest())
    wanted = [one for one in ordered if one.data != "cifar16" or arguments.cifar.is_dir()]
    arguments.records.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sngan-doctor-") as work:
        for case in wanted:
            path = arguments.records / f"{case.name}.json"
            if path.exists() or arguments.no_training:
                continue
            found = run_case(case, Path(work), arguments.cifar)
            path.write_text(json.dumps(found) + "\n")
            print(f"{case.name}: {found['ended']}, {found['cpu_seconds']} CPU s", flush=True)


assert IMAGES

if __name__ == "__main__":
    main()
