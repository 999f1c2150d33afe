"""A function's signature is its command line, its docstring its help."""

from typing import Literal

import pytest

from shapespace.config.arguments import call_from_arguments, explain, explain_config, unknown
from shapespace.errors import InputError

KEYS = ["model.lr", "model.decoder.init_args.latent_size", "trainer.max_epochs"]


def greet(
    name: str,
    friends: list[str],
    *,
    out: str,
    num_times: int | None = None,
    tone: Literal["dry", "warm"] = "dry",
    loud: bool = False,
) -> tuple:
    """Greet someone.

    At length.

      greet Ada Bob --out x

    Args:
        name: whom to
            greet.
        friends: the others.
        out: where to.
        num_times: how often.
        tone: in which voice.
        loud: in capitals.
    """
    return name, friends, out, num_times, tone, loud


def call(text):
    return call_from_arguments(greet, text.split())


def test_arguments_reach_the_function():
    assert call("Ada Bob --out x") == ("Ada", ["Bob"], "x", None, "dry", False)
    assert call("Ada Bob Eve --out=x --num-times 3 --tone warm --loud") == (
        *("Ada", ["Bob", "Eve"], "x", 3, "warm", True),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing name and friends and --out; --help lists what is needed"),
        ("Ada Bob", "missing --out; --help lists what is needed"),
        (
            "Ada Bob --out x --num-tims 3",
            "unknown argument '--num-tims'; did you mean '--num-times'?",
        ),
        (
            "Ada Bob --out x --num_times 3",
            "unknown argument '--num_times'; did you mean '--num-times'?",
        ),
        ("Ada Bob --out x --zzz", "unknown argument '--zzz'; --help lists all there are"),
        ("Ada Bob --out x --num-times many", "--num-times=many: must be an int or null"),
        ("Ada Bob --out x --tone wet", "--tone=wet: must be one of 'dry', 'warm'"),
        ("Ada Bob --out", "argument --out: expected one argument"),
    ],
)
def test_a_mistake_is_one_line(text, message):
    with pytest.raises(InputError) as caught:
        call(text)
    assert str(caught.value) == message


def test_help_is_written_and_nothing_called(capsys):
    assert call("--help") is None
    text = capsys.readouterr().out
    assert "Greet someone.\n\nAt length.\n\n  greet Ada Bob --out x\n" in text
    assert "whom to greet. (required, type: str)" in text
    assert "--num-times NUM_TIMES" in text and "how often." in text
    assert "default: dry" in text and "Args:" not in text


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("modle.lr", "model.lr"),
        ("max_epochs", "trainer.max_epochs"),
        ("model.latent_sise", "model.decoder.init_args.latent_size"),
    ],
)
def test_the_nearest_is_found_by_the_whole_or_the_last_part(name, near):
    assert unknown(name, KEYS, "key") == f"unknown key {name!r}; did you mean {near!r}?"


def test_a_complaint_of_no_known_form_stays_as_it_is():
    assert explain("something\n  odd", KEYS, "key") == "something odd"


def test_the_config_file_to_blame_is_named(tmp_path):
    first, last = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("model:\n  lrr: 1\n")
    last.write_text("model: [")
    message, args = "Subcommand 'fit' does not accept option 'model.lrr'", [f"--config={first}"]
    hint = "unknown key 'model.lrr'; did you mean 'model.lr'?"
    assert explain_config(message, args, KEYS, {}) == f"{first}: {hint}"
    assert explain_config(message, [*args, "--model.lrr=1"], KEYS, {}) == hint
    args += ["-c", str(last)]
    text = explain_config("Problems parsing config: no end", args, KEYS, {})
    assert text == f"{last}: is not YAML (no end)"


def test_a_class_that_is_not_there():
    message = 'Parser key "model.decoder": - Expected a path but SkpMLP either not accessible'
    parts = {"model.decoder": ["shapespace.decoders.SkipMLP"]}
    assert explain_config(message, [], KEYS, parts) == (
        "model.decoder: unknown class 'SkpMLP'; did you mean 'shapespace.decoders.SkipMLP'?"
    )
