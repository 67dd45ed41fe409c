"""Curves of bounded length: exact while short, means with a range when long."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sngan.report.history import History
from sngan.runs.records import iter_records


def history(values, **options):
    records = [{"step": step, "x": value} for step, value in enumerate(values)]
    return History(records, keys=["x"], groups=["sigma"], **options)


VALUES = st.one_of(st.floats(), st.none(), st.text(max_size=2), st.integers(), st.booleans())


@given(st.lists(VALUES, max_size=50))
def test_a_short_curve_is_every_number_that_can_be_drawn(values):
    expected = [
        (step, float(value))
        for step, value in enumerate(values)
        if isinstance(value, int | float) and not isinstance(value, bool)
        if abs(value) <= 1e100
    ]
    found = history(values).series
    assert (found["x"].points() if expected else []) == expected
    assert bool(found) == bool(expected)


@pytest.mark.parametrize("n", [2047, 2048, 2049, 5000, 50_001])
def test_a_long_curve_is_of_means_and_ranges_of_equal_groups(n):
    values = np.random.default_rng(0).normal(size=n)
    series = history(values.tolist()).series["x"]
    points, ranges = series.points(), series.range()
    assert len(points) <= 2048 + 1
    assert series.is_exact() == (n < 2048)
    steps = [step for step, _ in points]
    bounds = [*steps, n]
    sizes = {after - before for before, after in zip(steps, bounds[1:], strict=True)}
    assert len(sizes - {bounds[-1] - bounds[-2]}) <= 1
    for (step, mean), (_, least, most), end in zip(points, ranges, bounds[1:], strict=True):
        part = values[step:end]
        assert mean == pytest.approx(part.mean(), rel=1e-9, abs=1e-12)
        assert (least, most) == (part.min(), part.max())
    assert series.last == (n - 1, values[-1])


def test_groups_follow_names_and_do_not_mix():
    records = [{"step": i, "sigma": {"a": float(i), **({"b": 2.0 * i} if i > 4 else {})}}
               for i in range(9)]  # fmt: skip
    records.insert(3, {"step": 3, "sigma": "x"})
    groups = History(records, keys=[], groups=["sigma"]).groups["sigma"]
    assert groups["a"].points() == [(i, float(i)) for i in range(9)]
    assert groups["b"].points() == [(i, 2.0 * i) for i in range(5, 9)]


STRANGE = [b"", b"nonsense", b"[1]", b'{"step": "x"}', b'{"step": -1}', b'{"step": true}', b"\xff",
           b'{"step": 1' + b"0" * 5000 + b"}", b"[" * 10_000, b"null"]  # fmt: skip


@given(st.lists(st.sampled_from([b'{"step": 3}', *STRANGE]), max_size=8))
def test_lines_that_are_no_records_are_passed_over(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("lines")
    (folder / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert list(iter_records(folder)) == [{"step": 3}] * lines.count(b'{"step": 3}')


@pytest.mark.parametrize(("end", "is_told"), [('{"step": 2', False), ("nonsense\n", True)])
def test_a_line_that_a_crash_cut_off_needs_no_warning(tmp_path, caplog, end, is_told):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + "\n" + end)
    assert list(iter_records(tmp_path)) == [{"step": 1}]
    assert ("passed over 1 line that is no record" in caplog.text) == is_told


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308, -1e101, 10**400, "1"])
def test_a_number_that_no_chart_can_show_is_left_out(value):
    records = [
        {"step": step, "seconds": number, "x": number, "sigma": {"a": number}}
        for step, number in ((1, 2.0), (2, value), (3, value))
    ]
    found = History(records, keys=["x"], groups=["sigma"])
    assert found.series["x"].points() == found.groups["sigma"]["a"].points() == [(1, 2.0)]
    assert (found.last, found.last_timed) == (records[2], records[0])
