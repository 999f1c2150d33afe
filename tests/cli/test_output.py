"""Nothing that a terminal would act on is written to it."""

from shapespace.cli.output import say, say_line


def test_characters_are_shown_escaped(capsys):
    say("a\x1b[31m ± é\nb\u202e\r")
    say_line("c\nd")
    assert capsys.readouterr().out == "a\\x1b[31m ± é\nb\\u202e\\r\nc\\nd\n"
