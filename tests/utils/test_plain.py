"""Plain values: JSON without infinity, YAML as PyYAML reads it in Python, flat mappings."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sngan.utils.plain import finite, flatten, parse_texts, parse_yaml, to_json


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


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=9,
    ),
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.booleans(),
)
def test_every_document_is_read_as_by_the_parser_in_python(values, style, is_flow):
    """``parse_yaml`` reads by libyaml where PyYAML has it."""
    text = yaml.dump(values, default_style=style, default_flow_style=is_flow)
    assert parse_yaml(text) == yaml.load(text, Loader=yaml.SafeLoader) == values
    assert parse_texts(text) == yaml.load(text, Loader=yaml.BaseLoader)


@pytest.mark.parametrize("text", ["!!int ''", "!!bool x", "!!float ''", "a: [!!int]"])
def test_a_value_that_its_tag_does_not_fit_is_an_error_of_one_line(text):
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        parse_yaml(text)


def test_a_key_twice_is_found_in_a_list_and_below_an_alias():
    with pytest.raises(ValueError, match=r"^the key b twice, in lines 2 and 3$"):
        parse_yaml("- a\n- b: 1\n  b: 2\n")
    with pytest.raises(ValueError, match=r"^the key c twice, in lines 1 and 1$"):
        parse_yaml("x: &x [{c: 1, c: 2}]\ny: *x\n")
