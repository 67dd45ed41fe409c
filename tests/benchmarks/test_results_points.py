"""Programs of the tables of points: the search for settings and the mode table, with few steps."""

import math
from itertools import pairwise

import pytest
import torch
from benchmarks.results import modes, points_search
from benchmarks.results.records import Cell, load, main

from sngan import METHODS
from sngan.data import MIXTURES


def few_steps(cell: Cell, steps: int = 4) -> Cell:
    return Cell(cell.key, {**cell.settings, "steps": steps})


def samples_of(mixture, counts, *, away: int = 0) -> torch.Tensor:
    """Points at each centre, as many as ``counts`` says, and others far from all centres."""
    centres = mixture.centres.repeat_interleave(torch.tensor(counts), dim=0)
    return torch.cat([centres, torch.full((away, 2), 100.0)])


def test_the_score_of_the_search_is_one_only_for_equal_and_exact_modes():
    ring = MIXTURES["ring8"]
    exact = points_search.overlap(samples_of(ring, [5] * 8), ring)
    missing = points_search.overlap(samples_of(ring, [5] * 7 + [0]), ring)
    unequal = points_search.overlap(samples_of(ring, [9, 1] + [5] * 6), ring)
    away = points_search.overlap(samples_of(ring, [4] * 8, away=8), ring)
    found = [exact, missing, unequal, away]
    assert found == pytest.approx([1.0, 7 / 8, 0.9, 0.8], abs=1e-6)


def test_the_held_out_mixture_has_modes_that_do_not_touch():
    mixture = points_search.MIXTURES["scattered"]
    distances = torch.pdist(mixture.centres)
    assert (len(mixture.centres), "scattered" in MIXTURES) == (12, False)
    assert float(distances.min()) > 20 * mixture.std
    points = points_search.points_of("scattered", mixture)
    assert points_search.overlap(points.samples, mixture) == pytest.approx(
        1 - math.exp(-4.5), abs=0.02
    )


def test_every_method_for_points_is_searched_with_the_same_number_of_candidates():
    assert set(points_search.CONSTANTS) == set(METHODS) - set(modes.OF_IMAGES)
    sizes = {method: len(points_search.candidates(method)) for method in points_search.CONSTANTS}
    assert set(sizes.values()) == {points_search.RUNGS[0][0]}


@pytest.mark.parametrize("method", points_search.CONSTANTS)
def test_candidates_train(method):
    *_, last = points_search.candidates(method)
    assert 0 <= points_search.run(last.cell("scattered", 2))["score"] < 0.5


def test_the_best_candidates_of_a_round_go_on():
    scores: dict[str, float] = {}
    kept = []
    for rung, (count, steps) in enumerate(points_search.RUNGS):
        found = points_search.survivors("wgan", rung, scores)
        assert len(found) == count
        kept.append(found)
        for rank, candidate in enumerate(found):
            for mixture in points_search.MIXTURES:
                # the last ones are the best
                scores[candidate.cell(mixture, steps).file] = rank / 100
    for before, after in pairwise(kept):
        assert after == before[: -len(after) - 1 : -1]
    scores.pop(kept[0][0].cell("ring8", points_search.RUNGS[0][1]).file)
    assert points_search.survivors("wgan", 1, scores) == []


def test_the_search_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(points_search, "LEARNING_RATES", (1e-3,))
    monkeypatch.setattr(points_search, "RUNGS", ((3, 1), (2, 2)))
    arguments = ["--only", "wgan", "--records", str(tmp_path)]
    points_search.main([*arguments, "--budget-minutes", "0"])
    assert "the same command goes on" in capsys.readouterr().out
    points_search.main(arguments)
    records = load("points_search", tmp_path)
    assert len(records) == 2 * (3 + 2)
    best = points_search.survivors("wgan", 1, points_search.saved_scores(tmp_path))
    said = capsys.readouterr().out
    assert said.count(".json") == len(records)
    assert any(f"clip {one.constant}" in said.splitlines()[-1] for one in best)
    points_search.main(arguments)
    assert ".json" not in capsys.readouterr().out


def test_the_mode_table_has_every_method_for_points():
    found = modes.cells(range(10))
    assert len(found) == 2 * 10 * (len(METHODS) - len(modes.OF_IMAGES))
    assert len({cell.file for cell in found}) == len(found)
    assert {cell.settings["method"]["name"] for cell in found[:20]} == {"sn"}
    assert found[0].settings["steps"] == 18_000


def test_a_run_of_the_mode_table_is_a_record_and_a_row(tmp_path):
    def one_cell(seeds):
        return [few_steps(cell) for cell in modes.cells(seeds) if cell.key == "ring8-sn-0"]

    main("modes", one_cell, modes.run, seeds=1, arguments=["--records", str(tmp_path)])
    (record,) = load("modes", tmp_path)
    page = modes.markdown([record])
    result = record.result
    assert f"| `sn` | 1 | {result['modes']:.1f} | {100 * result['high_quality']:.1f} |" in page
    assert "| PacGAN4, published | 10 | 24.8 ± .2 | 93.6 | .04 | – | – |" in page
    assert "Runs: 1 of 320; seeds: 0;" in page
