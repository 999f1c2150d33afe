"""One line, bounded, nothing invisible."""

import pytest

from shapespace.errors import InputError, at_least, nearest, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        (" a\n\tb\r\n c ", "a b c"),
        ("bell\x07 esc\x1b[31m", "bell\\x07 esc\\x1b[31m"),
        ("zero\u200bwidth \u202eback", "zero\\u200bwidth \\u202eback"),
        ("lone \ud800 half", "lone \\ud800 half"),
        ("Zoë 形", "Zoë 形"),
        (ValueError("wrong\nvalue"), "wrong value"),
    ],
)
def test_one_line(text, shown):
    assert one_line(text) == shown


def test_one_line_is_cut_at_the_limit():
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde…"
    assert len(one_line("x" * 10_000)) == 400


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_numbers_that_are_too_small_are_named():
    at_least(1, steps=1, batch=7)
    with pytest.raises(InputError, match=r"^batch=0: give at least 1$"):
        at_least(1, steps=1, batch=0, points=-1)


def test_the_nearest_name_or_what_there_is():
    for known, said in (
        (["anna", "bert"], "the nearest is 'anna'"),
        (["bert", "carl"], "one of them is 'bert'"),
        (["bert"], "the only one is 'bert'"),
        ([], "there is none"),
    ):
        assert nearest("ana", known) == said


def test_errors_of_the_system_are_words():
    error = FileNotFoundError(2, "No such file or directory", "a.ply")
    assert one_line(error) == "No such file or directory"
    assert one_line(OSError("full")) == "full"
