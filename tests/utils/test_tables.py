"""Text tables and the cells in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sngan.utils.tables import NOTHING, format_number, format_spread, text_table

CELLS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)
ROWS = st.integers(1, 4).flatmap(
    lambda columns: st.lists(
        st.lists(CELLS, min_size=columns, max_size=columns), min_size=1, max_size=5
    )
)


@given(ROWS, st.sets(st.integers(0, 3)), st.booleans())
def test_columns_are_aligned_and_hold_the_cells(rows, right, rule):
    lines = text_table(rows, right=sorted(right), rule=rule).split("\n")
    if rule:
        assert set(lines.pop(1)) <= {"-", " "}
    assert [line.split() for line in lines] == rows
    for column in range(len(rows[0])):
        starts, ends = set(), set()
        for line, row in zip(lines, rows, strict=True):
            start = sum(max(len(r[c]) for r in rows) + 2 for c in range(column))
            width = max(len(r[column]) for r in rows)
            cell = line[start : start + width]
            assert cell.strip() == row[column]
            starts.add(len(cell) - len(cell.lstrip()))
            ends.add(width - len(cell.rstrip()))
        assert (ends if column in right else starts) == {0}


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [(None, None, NOTHING), (1.0, None, "1"), (1.23456, 0.0123, "1.235 ± 0.012")],
)
def test_a_mean_with_its_spread(mean, spread, expected):
    assert format_spread(mean, spread) == expected


def test_a_figure_that_is_not_known():
    shown = (format_number(None), format_number(None, unknown="?"), format_number(0.12345))
    assert shown == (NOTHING, "?", "0.123")
