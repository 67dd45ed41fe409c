"""Validation of `sngan doctor`: short runs, half of them made ill, and the confusion matrix.

    python -m benchmarks.doctor                  # train the runs that are missing, then judge all
    python -m benchmarks.doctor --no-training    # judge the kept records again, in seconds

The records of each run are kept as a small JSON file, so a run that is there is not trained again.
"""

import contextlib
import hashlib
import io
import json
import logging
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import argument_parser, write_json
from benchmarks.doctor_cases import Case, cases
from sngan import config as configs
from sngan.engine.errors import TrainingError
from sngan.engine.train import train
from sngan.health import FINDINGS, diagnose

# With this salt, the runs that were looked at while the rules were written are in the half on which
# the thresholds were set; only three healthy ones are in the other half.
_SALT = "1524"
_LEFT_OUT = ("seconds", "steps_per_second")


@dataclass(frozen=True)
class Judged:
    """A run with the illnesses that the doctor names.

    ``is_reported`` says in which half the run is: on the other half the thresholds were set.
    """

    case: Case
    named: tuple[str, ...]
    is_reported: bool
    cpu_seconds: float

    @property
    def is_right(self) -> bool:
        """Whether an ill run is named rightly, or a healthy one is not accused."""
        return bool({*self.named} & {*self.case.names}) if self.case.names else not self.named


def run_case(case: Case, work: Path, cifar: Path | None) -> dict[str, Any]:
    """Train one run, and return its settings and records."""
    config = case.config(work, cifar)
    started, ended = time.process_time(), "done"
    with case.operation(config), contextlib.redirect_stdout(io.StringIO()):
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
        "records": [compact(json.loads(line)) for line in lines],
    }


def compact(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the doctor reads of a record, with five digits."""
    kept = {key: value for key, value in record.items() if key not in _LEFT_OUT}
    if isinstance(kept.get("sigma"), dict):
        kept["sigma"] = {"largest": max(kept["sigma"].values())}
    return {key: _rounded(value) for key, value in kept.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def digest(case: Case, salt: str = "") -> bytes:
    """Return a hash of the case's name, which orders the runs and splits them."""
    return hashlib.sha256(f"{salt}{case.name}".encode()).digest()


def reported_half(wanted: Iterable[Case]) -> set[str]:
    """Return the names of the runs on which no threshold was set: every second one of a kind."""
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(wanted, key=lambda one: digest(one, _SALT)):
        kinds[case.illness if case.names else "healthy"].append(case)
    return {case.name for kind in kinds.values() for case in kind[1::2]}


def judge(records: Path) -> list[Judged]:
    """Judge all runs whose records are kept."""
    wanted = cases()
    reported = reported_half(wanted)
    found: list[Judged] = []
    for case in wanted:
        path = records / f"{case.name}.json"
        if path.is_file():
            kept = json.loads(path.read_text())
            diagnosis = diagnose(kept["records"], configs.from_dict(kept["settings"]))
            named = tuple(one.name for one in diagnosis.illnesses)
            found.append(Judged(case, named, case.name in reported, kept["cpu_seconds"]))
    return found


def page(judged: list[Judged]) -> str:
    """Return the results as a section of a page in Markdown."""
    halves = {
        "thresholds set on": [one for one in judged if not one.is_reported],
        "reported": [one for one in judged if one.is_reported],
        "both": judged,
    }
    lines = ["| half | ill runs named rightly | healthy runs accused |", "|---|---|---|"]
    for name, runs in halves.items():
        ill = [one for one in runs if one.case.names]
        well = [one for one in runs if not one.case.names]
        right, accused = sum(one.is_right for one in ill), sum(not one.is_right for one in well)
        lines.append(f"| {name} | {_share(right, len(ill))} | {_share(accused, len(well))} |")
    total = sum(one.cpu_seconds for one in judged)
    lines += ["", f"{len(judged)} of {len(cases())} runs, {total / 60:.1f} CPU minutes.", ""]
    return "\n".join([*lines, *_matrix(halves["reported"], "the reported half"), "",
                      *_matrix(judged, "all runs"), "", *_mistakes(judged)])  # fmt: skip


def _matrix(judged: list[Judged], title: str) -> list[str]:
    """Return the confusion matrix: how often each finding was named, by what was done to a run."""
    illnesses = [name for name in FINDINGS if any(name in one.named for one in judged)]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in judged:
        kind = one.case.illness if one.case.names else "healthy"
        counts[kind].update({"runs": 1, "none": int(not one.named), "right": int(one.is_right)})
        counts[kind].update(one.named)
    columns = ["runs", "right", "none", *illnesses]
    rows = [
        f"| {kind} | {' | '.join(str(count[name] or '·') for name in columns)} |"
        for kind, count in sorted(counts.items(), key=lambda pair: (pair[0] != "healthy", pair[0]))
    ]
    head = ["what was done", "runs", "judged rightly", "no illness", *illnesses]
    return [f"Runs by finding, {title}:", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|",
            *rows]  # fmt: skip


def _mistakes(judged: list[Judged]) -> list[str]:
    wrong = [one for one in judged if not one.is_right]
    return [f"- {one.case.name}: {', '.join(one.named) or 'no illness found'}" for one in wrong]


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({100 * count / total:.0f} %)" if total else "–"


def main() -> None:
    parser = argument_parser(__doc__, "doctor")
    parser.add_argument("--records", type=Path, default=Path("benchmarks/results/records/doctor"))
    parser.add_argument("--cifar", type=Path, default=Path("../shared/data/cifar10"),
                        help="CIFAR-10 in Parquet; its runs are left out without it")  # fmt: skip
    parser.add_argument("--no-training", action="store_true", help="judge the kept records only")
    parser.add_argument("--page", type=Path, help="file for the section of docs/results.md")
    arguments = parser.parse_args()
    logging.getLogger("sngan").setLevel(logging.ERROR)
    arguments.records.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sngan-doctor-") as work:
        # the runs that are done are a sample of all runs; those of CIFAR-10 take longest
        order = sorted(cases(), key=lambda one: (one.data == "cifar16", digest(one)))
        for case in [] if arguments.no_training else order:
            path = arguments.records / f"{case.name}.json"
            if path.exists() or (case.data == "cifar16" and not arguments.cifar.is_dir()):
                continue
            found = run_case(case, Path(work), arguments.cifar)
            path.write_text(json.dumps(found) + "\n")
            print(f"{case.name}: {found['ended']}, {found['cpu_seconds']} CPU s", flush=True)
    judged = judge(arguments.records)
    text = page(judged)
    print(text)
    if arguments.page is not None:
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        arguments.page.write_text(f"{text}\n")
    write_json({one.case.name: one.named for one in judged}, arguments.json)


if __name__ == "__main__":
    main()
