"""Validation of `sngan doctor`: short runs, half of them made ill, and the confusion matrix.

    python -m benchmarks.doctor                  # train the runs that are missing, then judge all
    python -m benchmarks.doctor --no-training    # judge the kept records again, in seconds

The records of each run are kept as a small JSON file, so a run that is there is not trained again.
"""

import contextlib
import io
import json
import logging
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import argument_parser, write_json
from benchmarks.doctor_cases import IMAGES, SETTING, Case, cases
from sngan import config as configs
from sngan.engine.errors import TrainingError
from sngan.engine.train import train
from sngan.health import FINDINGS, diagnose

_LEFT_OUT = ("seconds", "steps_per_second")
# an ill run is at least this number of times farther from the data than the healthy run
_WORSE = 2.0
_LABELS = HEALTHY, ILL, UNCLEAR = "healthy", "ill", "unclear"
_INTRODUCTION = """# The doctor's test

Made by `make bench-doctor`: short runs, healthy ones and ones made ill in one way, with four seeds
of each kind. The rules were set on the runs of seeds 0 and 1. They are reported on those of seeds 2
and 3, which nobody looked at before the last change of a rule.

A run counts as ill if it was made ill, and its samples at the end are at least twice as far from
the data as those of the healthy run of the same data and seed (W1 of points, Fréchet distance of
images; the doctor sees neither figure), or if training failed. A run of 40 images counts as ill
without this. A run counts as healthy if nothing was done to it, and it is nearer than twice that
distance. All other runs are unclear: an illness did no harm, or a method had not learned yet.
They count in neither share. An ill run is named rightly if the doctor names one of the findings
that belong to its illness. Where the illness is a setting far from the recipe, "unusual setting"
is one of them; the column "by a symptom" leaves this finding out.

The kinds of illness are those for which the rules were made. So the reported half tells how the
rules do with other random numbers, not with illnesses that nobody thought of.
"""


@dataclass(frozen=True)
class Judged:
    """A run with the illnesses that the doctor names.

    Attributes
    ----------
    case
        The run.
    named
        The illnesses that the doctor names.
    worse
        How many times farther from the data its samples are than those of the healthy run of the
        same data and seed: by the Fréchet distance of images, and W1 of points. It is infinite if
        training failed, and ``None`` for a run of few images.
    cpu_seconds
        The time of the run.
    """

    case: Case
    named: tuple[str, ...]
    worse: float | None
    cpu_seconds: float

    @property
    def label(self) -> str:
        """Healthy, ill or unclear, without the doctor's word.

        A run is ill if it was made ill and is at least twice as far from the data as the healthy
        run, or learns a few images by heart. It is healthy if nothing was done to it and it is
        nearer than that. Everything else is unclear, and counts in neither share.
        """
        is_worse = self.worse is None or self.worse >= _WORSE
        if self.case.names:
            return ILL if is_worse else UNCLEAR
        return UNCLEAR if is_worse else HEALTHY

    @property
    def is_right(self) -> bool:
        """Whether an ill run is named rightly, or a healthy one is not accused."""
        return self._has_named(self.case.names) if self.label == ILL else not self.named

    @property
    def is_right_by_symptom(self) -> bool:
        """Whether an ill run is named rightly without a look at its settings."""
        return self._has_named([name for name in self.case.names if name != SETTING])

    def _has_named(self, names: Collection[str]) -> bool:
        return not {*self.named}.isdisjoint(names)


def run_case(case: Case, work: Path, cifar: Path | None) -> dict[str, Any]:
    """Train one run, and return its settings, its records, and the evaluation at its end.

    The evaluation is kept apart, so the doctor does not see it.
    """
    config = case.config(work, cifar)
    started, ended = time.process_time(), "done"
    with case.operation(config), contextlib.redirect_stdout(io.StringIO()):
        try:
            train(config, overwrite=True)
        except TrainingError as error:
            ended = str(error).partition(";")[0]
    folder = Path(config.out)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    evaluations = [record["evaluation"] for record in records if "evaluation" in record]
    settings = configs.to_dict(configs.load(folder / "config.yaml"))
    # no path of this machine is kept
    settings["out"], settings["data"]["source"] = case.name, case.data
    return {
        "case": case.name,
        "ended": ended,
        "cpu_seconds": round(time.process_time() - started, 1),
        "settings": settings,
        "evaluation": _rounded(evaluations[-1]) if evaluations else None,
        "records": [compact(record) for record in records if "evaluation" not in record],
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


def judge(records: Path) -> list[Judged]:
    """Judge all runs whose records are kept."""
    kept = {path.stem: json.loads(path.read_text()) for path in sorted(records.glob("*.json"))}
    found: list[Judged] = []
    for case in cases():
        # without the healthy run there is no label
        if case.name in kept and case.healthy in kept:
            run = kept[case.name]
            diagnosis = diagnose(run["records"], configs.from_dict(run["settings"]))
            named = tuple(one.name for one in diagnosis.illnesses)
            worse = _worse(case, run, kept[case.healthy])
            found.append(Judged(case, named, worse, run["cpu_seconds"]))
    return found


def _worse(case: Case, run: dict[str, Any], healthy: dict[str, Any]) -> float | None:
    if run["ended"] != "done":
        return float("inf")
    if case.few:
        return None
    name = "frechet" if case.data in IMAGES else "w1"
    return run["evaluation"][name] / healthy["evaluation"][name]


def page(judged: list[Judged]) -> str:
    """Return the results as a page in Markdown."""
    reported = [one for one in judged if one.case.is_reported]
    halves = {
        "rules set on": [one for one in judged if not one.case.is_reported],
        "reported": reported,
    }
    head = ["half", "ill runs named rightly", "by a symptom", "healthy runs accused", "unclear"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, runs in halves.items():
        ill, well = ([one for one in runs if one.label == label] for label in (ILL, HEALTHY))
        right, accused = sum(one.is_right for one in ill), sum(not one.is_right for one in well)
        by_symptom = _share(sum(one.is_right_by_symptom for one in ill), len(ill))
        unclear = len(runs) - len(ill) - len(well)
        lines.append(
            f"| {name} | {_share(right, len(ill))} | {by_symptom} | {_share(accused, len(well))} "
            f"| {unclear} |"
        )
    total = sum(one.cpu_seconds for one in judged)
    lines += ["", f"{len(judged)} of {len(cases())} runs, {total / 60:.1f} CPU minutes."]
    sections = [_INTRODUCTION, *lines, "", "## The reported half, by finding", ""]
    sections += [*_matrix(reported), "", "## Mistakes of the reported half, and its unclear runs",
                 "", *_mistakes(reported), "", "## Both halves, by finding", "",
                 *_matrix(judged)]  # fmt: skip
    return "\n".join(sections)


def _matrix(judged: list[Judged]) -> list[str]:
    """Return the confusion matrix: how often each finding was named, by what was done to a run."""
    illnesses = [name for name in FINDINGS if any(name in one.named for one in judged)]
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in judged:
        kind = "any" if one.label == HEALTHY else one.case.kind
        row = counts[one.label, kind]
        row.update({"runs": 1, "none": int(not one.named), "right": int(one.is_right)})
        row.update(one.named)
    columns = ["runs", "right", "none", *illnesses]
    rows = [
        f"| {label} | {kind} | {' | '.join(str(count[name] or '·') for name in columns)} |"
        for (label, kind), count in sorted(
            counts.items(), key=lambda pair: (_LABELS.index(pair[0][0]), pair[0][1])
        )
    ]
    head = ["label", "what was done", "runs", "judged rightly", "no illness", *illnesses]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]


def _mistakes(judged: list[Judged]) -> list[str]:
    """Return a line for each run that is judged wrongly or unclear."""
    listed = [one for one in judged if one.label == UNCLEAR or not one.is_right]
    return [
        f"- {one.label}: {one.case.name}"
        + (f", {one.worse:.3g} times as far from the data" if one.worse is not None else "")
        + f": {', '.join(one.named) or 'no illness named'}"
        for one in listed
    ]


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({100 * count / total:.0f} %)" if total else "–"


def main() -> None:
    parser = argument_parser(__doc__, "doctor")
    parser.add_argument("--records", type=Path, default=Path("benchmarks/results/records/doctor"))
    parser.add_argument("--cifar", type=Path, default=Path("../shared/data/cifar10"),
                        help="CIFAR-10 in Parquet; its runs are left out without it")  # fmt: skip
    parser.add_argument("--no-training", action="store_true", help="judge the kept records only")
    parser.add_argument("--page", type=Path, help="file for the page, docs/results/doctor.md")
    arguments = parser.parse_args()
    logging.getLogger("sngan").setLevel(logging.ERROR)
    arguments.records.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sngan-doctor-") as work:
        for case in [] if arguments.no_training else cases():
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
