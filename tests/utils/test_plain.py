"""Plain data of strangers: what a reader relies on holds, or the file is refused in one line."""

import math

import pytest

from shapespace.utils.plain import (
    is_list_of,
    is_mapping_of,
    is_number,
    is_value,
    json_object,
)
from shapespace.utils.text import MOST_ITEMS, aligned, in_words


def test_json_gives_what_it_holds():
    assert json_object(b'{"a": [1, null, "x"]}') == {"a": [1, None, "x"]}


@pytest.mark.parametrize("content", [b"[1]", b"3", b"{", b"\xff", b'{"a": ' + b"[" * 99_999])
def test_json_that_is_no_object(content):
    with pytest.raises(ValueError, match=r"is not JSON|holds no object"):
        json_object(content)


def test_numbers():
    for value in (0, -1.5, 10**99, math.nan):
        assert is_number(value) and is_value(value)
    for value in (True, None, "inf", "-inf"):
        assert not is_number(value) and is_value(value)
    for value in (10**400, math.inf, "1", [1], {}):
        assert not is_value(value)
    assert is_list_of([1, 2], is_number, 2) and not is_list_of([1, 2, 3], is_number, 2)
    assert not is_list_of((1,), is_number)
    assert is_mapping_of({"a": 1}, is_number) and not is_mapping_of({1: 1}, is_number)
    assert not is_mapping_of({"a": 1, "b": 1}, is_number, 1)


def test_plain_data_in_words():
    assert in_words({"a": 1, "b": [1, "x"], "c": {}}) == "a 1, b 1, x, c "
    assert in_words(list(range(MOST_ITEMS + 2))).endswith(", and 2 more")
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert in_words(deep) == "…"
    assert in_words(1 << 99_999) == "…" and len(in_words("x" * 10_000)) < 3000


def test_columns_stay_aligned_whatever_a_cell_holds():
    lines = aligned([["name", "n"], ["a\x1b[31m\nb\u202e", "1"], ["c", "22"]])
    shown = r"a\x1b[31m\nb\u202e"
    assert lines == [f"{'name':{len(shown)}}   n", f"{shown}   1", f"{'c':{len(shown)}}  22"]
