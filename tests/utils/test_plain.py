"""Plain values: what JSON cannot hold, and nested mappings made flat."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sngan.utils.plain import finite, flatten, to_json


def test_json_has_no_infinity():
    assert finite({"a": [float("inf"), (1.0, float("nan"))], "b": "x"}) == {
        "a": [None, [1.0, None]],
        "b": "x",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=9,
    )
)
def test_every_value_becomes_standard_json(values):
    def refuse(name):
        raise AssertionError(name)

    read = json.loads(to_json(values), parse_constant=refuse)
    assert read == finite(values)
    if "inf" not in repr(values) and "nan" not in repr(values):
        assert read == values


def test_nested_mappings_are_flattened():
    assert flatten({"a": 1, "b": {"c": 2, "d": {"e": [3]}}, "f": {}}) == {
        "a": 1,
        "b.c": 2,
        "b.d.e": [3],
    }
