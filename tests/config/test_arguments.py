"""A function's signature is its command line, its docstring its help."""

import re
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import jsonargparse
import pytest

from shapespace.config.arguments import call_from_arguments, explain_config, unknown
from shapespace.config.recipes import RECIPES
from shapespace.errors import InputError
from shapespace.training.cli import train

TESTED = "4.53.0"
"""Version of jsonargparse whose sentences the regular expressions of arguments.py read."""

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
    assert explain_config("something\n  odd", [], KEYS, {}) == "something odd"
    odd = 'Parser key "model.lr": Expected a miracle. Got value: 3'
    assert explain_config(odd, [], KEYS, {}) == odd


def test_jsonargparse_is_the_one_whose_sentences_are_read():
    remedy = (
        f"arguments.py reads sentences of jsonargparse {TESTED}. For another version, run the "
        "tests below that make its parser say them, correct the regular expressions at the top of "
        "shapespace/config/arguments.py, then change TESTED here and the pins in setup.cfg and "
        "constraints.txt."
    )
    assert jsonargparse.__version__ == version("jsonargparse") == TESTED, remedy
    root = Path(__file__).parents[2]
    assert f"jsonargparse[signatures]=={TESTED}\n" in (root / "setup.cfg").read_text(), remedy
    assert f"jsonargparse=={TESTED}\n" in (root / "constraints.txt").read_text(), remedy


# What the real parser of a training says, and what is made of it.
SENTENCES_OF_A_TRAINING = [
    (
        "--model.lr=1",
        "missing model.decoder and model.objective and model.sampler and data.store; "
        "--help lists what is needed",
    ),
    ("--model.lrr=1", "unknown key 'model.lrr'; did you mean 'model.lr'?"),
    ("--config=lrr.yaml", "lrr.yaml: unknown key 'model.lrr'; did you mean 'model.lr'?"),
    (
        "--config=sigm.yaml",
        "sigm.yaml: unknown key 'model.sampler.init_args.sigm'; "
        "did you mean 'model.sampler.init_args.sigma'?",
    ),
    (
        "--model.decoder=SkpMLP",
        "model.decoder: unknown class 'SkpMLP'; did you mean 'shapespace.decoders.SkipMLP'?",
    ),
    (
        "--model.decoder=os.system",
        "names the class 'os.system', which is not part of shapespace; if you trust it, say",
    ),
    ("--model.lr=fast", "model.lr=fast: must be a float"),
    ("--config=fast.yaml", "fast.yaml: model.lr=fast: must be a float"),
    ("--trainer.max_epochs=many", "trainer.max_epochs=many: must be an int or null"),
    ("--wandb=maybe", "wandb=maybe: must be one of 'off', 'auto', 'online', 'offline'"),
    (
        "--config=demo --model.decoder.width=wide",
        "model.decoder.init_args.width=wide: must be an int",
    ),
    ("--config=bracket.yaml", "bracket.yaml: is not YAML (while parsing a flow node"),
    ("--config=list.yaml", "--config: '- 1' must be a YAML file of options and their values"),
    (
        "--config=none.yaml",
        "{here}/none.yaml: cannot be a config (file does not exist); give a file, "
        f"or a recipe by name: {', '.join(RECIPES)}",
    ),
    ("--config=.", "{here}/.: cannot be a config (path is not a file); give a file, or a recipe"),
    (
        "--config=configs/bodies-cpu.yaml",
        "{here}/configs/bodies-cpu.yaml: cannot be a config (file does not exist); "
        "say --config bodies-cpu",
    ),
    ("-c configs/hardware/gpu.yaml", "{here}/configs/hardware/gpu.yaml: cannot be a config"),
    (
        "--config=configs/methods/sal.yaml",
        "{here}/configs/methods/sal.yaml: cannot be a config (file does not exist); "
        "say --config sal",
    ),
    (
        "--config=deep-sdf",
        "{here}/deep-sdf: cannot be a config (file does not exist); did you mean deepsdf? give",
    ),
    (
        "--model.decoder=shapespace.decoders.PositionlMLP",
        "model.decoder: unknown class 'shapespace.decoders.PositionlMLP'; "
        "did you mean 'shapespace.decoders.PositionalMLP'?",
    ),
]


@pytest.fixture
def folder_of_configs(tmp_path, monkeypatch):
    """The working folder, with config files that hold one mistake each."""
    monkeypatch.chdir(tmp_path)
    sampler = "class_path: NearSurface\n    init_args:\n      sigm: 1\n"
    Path("lrr.yaml").write_text("model:\n  lrr: 1\n")
    Path("sigm.yaml").write_text(f"model:\n  sampler:\n    {sampler}")
    Path("fast.yaml").write_text("model:\n  lr: fast\n")
    Path("bracket.yaml").write_text("model: [\n")
    Path("list.yaml").write_text("- 1\n")
    return tmp_path


@pytest.mark.parametrize(("text", "explanation"), SENTENCES_OF_A_TRAINING)
def test_each_sentence_of_a_training_is_explained(text, explanation, folder_of_configs):
    with pytest.raises(InputError) as caught:
        train(text.split())
    assert str(caught.value).startswith(explanation.replace("{here}", str(folder_of_configs)))


def test_each_sentence_of_a_command_is_explained(tmp_path):
    config = tmp_path / "greet.yaml"
    config.write_text("num_tims: 1\n")
    given = f"Ada Bob --out x --config {config}"
    with pytest.raises(InputError, match=f"{config}: unknown argument 'num_tims'; did you"):
        call(given)
    config.write_text("num_times: many\n")
    with pytest.raises(InputError, match=f"{config}: --num-times=many: must be an int or null"):
        call(given)
    with pytest.raises(InputError, match=r"^--num-times=few: must be an int or null"):
        call("Ada Bob --out x --num-times few")
    config.write_text("num_times: [")
    with pytest.raises(InputError, match=f"{config}: is not YAML"):
        call(given)
    config.unlink()
    with pytest.raises(InputError, match=re.escape("(file does not exist); give a YAML file of")):
        call(given)


def test_the_config_file_to_blame_is_named(tmp_path):
    first = tmp_path / "a.yaml"
    last = tmp_path / "b.yaml"
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


@dataclass(frozen=True)
class Voice:
    """In which voice.

    Args:
        pitch: of the
            voice.
        tone: how warm.
        loud: in capitals.
        extra_words: words after it.
        length: never given.
    """

    pitch: int
    tone: Literal["dry", "warm"] = "dry"
    loud: bool = False
    extra_words: list[str] | None = field(default_factory=lambda: ["bye"])
    length: int = field(init=False, default=7)

    def __post_init__(self):
        if self.pitch < 0:
            raise InputError(f"pitch={self.pitch}: give at least 0")
        if self.pitch > 9:
            raise ValueError("pitch\ntoo high")


@dataclass
class Place:
    """Where.

    Args:
        floor: number of the floor.
    """

    floor: int | None = None


def speak(
    name: str,
    *,
    voice: Voice,
    times: int = 1,
    place: Place = Place(3),  # noqa: B008
) -> tuple:
    """Speak.

    Args:
        name: whose.
        times: how often.
    """
    return name, voice, times, place


def speaking(text) -> tuple:
    found = call_from_arguments(speak, text.split())
    assert isinstance(found, tuple)
    return found


def test_a_dataclass_stands_for_its_fields():
    assert speaking("Ada --pitch 1") == ("Ada", Voice(1), 1, Place(3))
    assert speaking("Ada --pitch=2 --tone warm --loud --floor null --times 2") == (
        *("Ada", Voice(2, "warm", True), 2, Place(None)),
    )
    assert speaking("Ada --pitch 1 --extra-words so long")[1].extra_words == ["so", "long"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing name and --pitch; --help lists what is needed"),
        ("Ada --pitch -1", "pitch=-1: give at least 0"),
        ("Ada --pitch 10", "pitch too high"),
        ("Ada --pitch high", "--pitch=high: must be an int"),
        ("Ada --pitch 1 --tone wet", "--tone=wet: must be one of 'dry', 'warm'"),
        ("Ada --pitch 1 --flor 2", "unknown argument '--flor'; did you mean '--floor'?"),
        (
            "Ada --pitch 1 --voice.tone dry",
            "unknown argument '--voice.tone'; did you mean '--tone'?",
        ),
        ("Ada --pitch 1 --length 1", "unknown argument '--length'; --help lists all there are"),
    ],
)
def test_a_mistake_in_a_field_is_one_line(text, message):
    with pytest.raises(InputError) as caught:
        call_from_arguments(speak, text.split())
    assert str(caught.value) == message


def test_fields_are_listed_in_the_help(capsys):
    call_from_arguments(speak, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--pitch PITCH of the voice. (required, type: int)" in text
    assert "--tone {dry,warm} how warm. (type: Literal['dry', 'warm'], default: dry)" in text
    assert "--loud in capitals." in text and "--length" not in text
    assert "number of the floor." in text and "default: 3" in text
    assert text.index("--pitch") < text.index("--times") < text.index("--floor")


def test_fields_come_from_a_config_too(tmp_path):
    config = tmp_path / "speak.yaml"
    config.write_text("pitch: 4\nextra_words: [a, b]\n")
    found = speaking(f"Ada --config {config} --tone=warm")
    assert found[1] == Voice(4, "warm", extra_words=["a", "b"])
    config.write_text("pich: 4\n")
    with pytest.raises(InputError, match=f"{config}: unknown argument 'pich'; did you"):
        call_from_arguments(speak, ["Ada", "--pitch=1", "--config", str(config)])


def test_what_a_programmer_forgot():
    def twice(*, one: Place, floor: int = 1):
        """Nothing."""

    @dataclass
    class Silent:
        """Nothing is said of its field."""

        number: int = 1

    def silent(*, one: Silent):
        """Nothing."""

    twice.__doc__ = "Nothing.\n\nArgs:\n    floor: a floor."
    with pytest.raises(AssertionError, match="twice: two parameters or fields are named floor"):
        call_from_arguments(twice, [])
    with pytest.raises(AssertionError, match="Silent: Args: does not describe number"):
        call_from_arguments(silent, [])
