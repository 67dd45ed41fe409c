"""Records of results: each is measured once, and a stop loses one run; the page shows them."""

import json
import statistics
from pathlib import Path

import pytest
from benchmarks.results import claim, page, stacked
from benchmarks.results.records import Cell, Record, Skipped, load, main, short
from benchmarks.results.tables import caption, mean_and_error, table


def cells(seeds):
    return [
        Cell(f"{name}-seed{seed}", {"name": name, "seed": seed}) for seed in seeds for name in "ab"
    ]


def records_of(name: str, folder: Path) -> dict[str, dict]:
    return {record.key: record.result for record in load(name, folder)}


def test_each_cell_is_measured_once_in_the_order_of_the_list(tmp_path, capsys):
    ran: list[str] = []

    def run(cell):
        ran.append(cell.key)
        return {"value": 1 / 3, "listed": [float("nan"), 2]}

    arguments = ["--records", str(tmp_path), "--seeds", "2"]
    main("t", cells, run, arguments=[*arguments, "--only", "seed1"])
    main("t", cells, run, arguments=arguments)
    main("t", cells, run, arguments=arguments)
    assert ran == ["a-seed1", "b-seed1", "a-seed0", "b-seed0"]
    assert records_of("t", tmp_path)["a-seed0"] == {"value": 0.33333, "listed": [None, 2]}
    assert "4 of 4 records exist" in capsys.readouterr().out


def test_another_setting_is_another_record():
    one, other = Cell("a", {"lr": 1e-4, "seed": 0}), Cell("a", {"seed": 0, "lr": 2e-4})
    assert one.file != other.file
    assert one.file == Cell("a", {"seed": 0, "lr": 1e-4}).file


def test_a_stop_loses_only_the_run_in_progress(tmp_path):
    def run(cell):
        if cell.key == "b-seed0":
            raise KeyboardInterrupt
        return {}

    arguments = ["--records", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        main("t", cells, run, seeds=1, arguments=arguments)
    assert list(records_of("t", tmp_path)) == ["a-seed0"]
    assert [path.suffix for path in (tmp_path / "t").iterdir()] == [".json"]


def test_a_cell_that_cannot_run_is_skipped_with_its_reason(tmp_path, capsys):
    def run(cell):
        raise Skipped("no such setting")

    main("t", cells, run, seeds=1, arguments=["--records", str(tmp_path)])
    assert capsys.readouterr().out.count("skipped: no such setting") == 2
    assert records_of("t", tmp_path) == {}


def test_the_budget_of_cpu_time_stops_between_two_runs(tmp_path, capsys):
    main("t", cells, lambda _: {}, arguments=["--records", str(tmp_path), "--budget-minutes", "0"])
    assert "the same command goes on" in capsys.readouterr().out
    assert records_of("t", tmp_path) == {}


def test_numbers_are_short_and_finite():
    given = {"a": 123456.789, "b": (1, True, "text", None), "c": float("inf")}
    assert short(given) == {"a": 123460.0, "b": [1, True, "text", None], "c": None}


def test_a_mean_has_its_standard_error_from_two_values_on():
    values = [1.0, 2.0, 4.0]
    error = statistics.stdev(values) / 3**0.5
    assert mean_and_error(values, ".3f") == f"{7 / 3:.3f} ± {error:.3f}"
    assert (mean_and_error([1.5], ".1f"), mean_and_error([], ".1f")) == ("1.5", "–")


def test_tables_and_captions():
    assert table(["", "a"], [["x", "1"]]) == "|  | a |\n| --- | --: |\n| x | 1 |"
    found = [Record("k", {"seed": s}, {}, 60.0, "machine", "2.13", "3.12") for s in (1, 0)]
    said = caption(found, command="python -m x", planned=4)
    assert said.startswith("Runs: 2 of 4; seeds: 0, 1; 1.0 CPU minutes a run (median), 2 in all;")
    assert "python -m x" in said


def claim_record(method: str, setting: str, seed: int, frechet: float | None) -> Record:
    marks = [{"step": n, "frechet": (frechet or 0) + 4 - n} for n in range(1, 5)]
    marks[-1]["ema"] = {"frechet": 1.0}
    score = None if frechet is None else 6 - frechet
    return Record(
        f"{method}-{setting}-seed{seed}",
        {"method": method, "setting": setting, "seed": seed},
        {"frechet": frechet, "inception_score": score, "marks": marks},
        30.0,
        "machine",
        "2.13",
        "3.12",
    )


def test_the_page_has_the_tables_that_exist_and_the_commands_for_the_others(tmp_path):
    folder = tmp_path / "records" / claim.NAME
    folder.mkdir(parents=True)
    made = [claim_record("sn", "C", 0, 0.5), claim_record("sn", "C", 1, 0.7),
            claim_record("sn", "A", 0, 2.0), claim_record("wgan", "C", 0, None)]  # fmt: skip
    for record in made:
        (folder / f"{record.key}.json").write_text(json.dumps(vars(record)))
    template = tmp_path / "page.md"
    template.write_text("# Title\n\n{{claim}}\n\nBy hand.\n\n{{stacked}}\n")
    target = tmp_path / "docs" / "results.md"
    page.write(target, records=tmp_path / "records", template=template)
    text = target.read_text()
    assert "| `sn` | 2.00 | – | **0.60 ± 0.10** | – | – | – | 0.70 | 1 of 2 |" in text
    assert "| `wgan` | – | – | – | – | – | – | – | – |" in text
    assert "By hand." in text
    assert f"`python -m {stacked.__name__}`" in text
    assert (tmp_path / "docs" / "results" / "claim.png").stat().st_size > 1000


def test_an_unknown_table_in_the_template_is_refused(tmp_path):
    template = tmp_path / "page.md"
    template.write_text("{{nothing}}\n")
    with pytest.raises(ValueError, match=r"one of the tables .*claim.*, got nothing"):
        page.write(tmp_path / "results.md", records=tmp_path, template=template)


def test_every_table_of_the_page_has_a_module_and_every_kept_record_a_table():
    modules = page.table_modules()
    assert {name for name in modules if f"{{{{{name}}}}}" not in page.TEMPLATE.read_text()} == set()
    for name, module in modules.items():
        for record in load(name):
            assert record.settings["seed"] >= 0, record.key
        if load(name):
            assert module.markdown(load(name))


def test_the_records_are_small():
    paths = [path for path in (page.FOLDER).rglob("*") if path.is_file()]
    # the records of the doctor are the figures of 216 whole runs
    assert sum(path.stat().st_size for path in paths) < 3 * 2**20


def test_a_prefix_of_the_claim_has_every_method_under_one_setting():
    first = claim.cells(range(3))[: len(claim.METHODS)]
    assert {cell.settings["method"] for cell in first} == set(claim.METHODS)
    assert len({cell.file for cell in claim.cells(range(3))}) == 9 * 6 * 3
