"""Make a command of a typed function: the signature is the syntax, the docstring is the help.

A parameter before ``*`` is positional; a positional list takes one or more values, or any number if
it has a default, and any other positional with a default may be left out. A parameter after ``*``
is an option with dashes; a bool whose default is False is a flag, and a bool or a word is a flag
that may have the word. A parameter whose annotation is a dataclass stands for one option a field:
the options have the names of the fields, without a prefix, and the function receives one instance.
Options may also come from a YAML file, ``--config``, unless the function has a parameter of that
name.
"""

import dataclasses
import inspect
import re
import sys
import typing
from argparse import ArgumentError, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from shapespace.config.recipes import instead_of
from shapespace.config.trust import check_configs, config_files, not_found, read_config, untrusted
from shapespace.errors import InputError, one_line

# Sentences of jsonargparse 4.53.0, line breaks replaced by spaces, and what is read from each.
# tests/config/test_arguments.py makes the real parser say each of them.

# the following arguments are required: name, fit.data.store
_MISSING = re.compile(r"following arguments are required: (.*)")
# unrecognized arguments: --model.lrr=1
# Option 'nn' is not accepted                                 (key of a config, of a plain parser)
# Subcommand 'fit' does not accept option 'model.lrr'         (key of a config, of a training)
_UNKNOWN = re.compile(r"(?:unrecognized arguments:|does not accept option|^Option) '?([\w.-]+)")
# Parser key "model.sampler": Problem with given class_path 'shapespace.NearSurface':
#   Option 'sigm' is not accepted
_UNKNOWN_IN_PART = re.compile(r'Parser key "([\w.]+)": .*Option \'([\w.-]+)\' is not accepted')
# Parser key "model.decoder": - Expected a path but SkpMLP either not accessible or invalid
#   - Expected a dot import path string: SkpMLP
_UNKNOWN_CLASS = re.compile(r'Parser key "([\w.]+)":.* path but (\S+) either')
# Importing 'mine.Decoder' is not allowed, denied by the '*' entry of the import path denylist.
_DENIED = re.compile(r"Importing '([\w.]+)' is not allowed")
# Parser key "model.decoder": ... No module named 'mine'
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
# Parser key "model.lr": Expected a <class 'float'>. Got value: fast
# Parser key "n": Does not validate against any of the Union subtypes ...
#   Errors: - Expected a <class 'int'> - Expected a <class 'NoneType'> ... Given value: many
# Parser key "model.decoder": Problem with given class_path 'shapespace.decoders.SkipMLP':
#   Parser key "width": Expected a <class 'int'>. Got value: q
_WRONG_TYPE = re.compile(r"(?:Got value|Given value): (.*)$")
_KEY = re.compile(r'Parser key "([\w.]+)"')
_EXPECTED = re.compile(r"Expected an? (<class '[\w.]+'>|typing\.Literal\[[^\]]*\])")
_EXPECTED_NAME = re.compile(r"<class '(.*)'>|typing\.Literal\[(.*)\]")
# Parser key "config": File does not exist: '/home/ada/none.yaml'
# Parser key "config": Path is not a file: '/home/ada/folder'
_NO_CONFIG = re.compile(r'Parser key "config": (.*): \'(.*)\'')
# Problems parsing config: while parsing a flow node did not find expected node content ...
_NOT_YAML = re.compile(r"Problems parsing config: (.*)")
# Unexpected config: - 1                                      (YAML, but no mapping)
_NO_MAPPING = re.compile(r"Unexpected config: (.*)")


class _HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Help with types and defaults of the options; the description keeps its line breaks."""


@dataclass(frozen=True)
class _Option:
    """One argument of a command, from a parameter or from a field of a dataclass.

    Args:
        name: name of the parameter or field, with underscores.
        kind: annotated type.
        default: value if the argument is not given; ``inspect.Parameter.empty`` if it must be.
        positional: whether the argument has no dashes.
        text: help.
    """

    name: str
    kind: Any
    default: object
    positional: bool
    text: str

    @property
    def typed(self) -> str:
        """The name as the command line has it, with dashes unless the argument is positional."""
        return self.name if self.positional else _dashed(self.name)


def call_from_arguments(
    function: Callable[..., object], arguments: Sequence[str], called: str | None = None
) -> object:
    """Call a function with the values that a command line gives.

    Args:
        function: typed function whose docstring has an ``Args:`` section.
        arguments: words of the command line after the name of the command.
        called: name of the command in its help; "shapespace NAME" by default.

    Returns:
        The function's result; None after ``--help``, which is written to stdout.

    Raises:
        InputError: An argument is missing, unknown or of the wrong type, or a dataclass of options
            refuses a value.
    """
    parser = build_parser(function, called)
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(parser.format_help())
        return None
    check_configs(arguments)
    try:
        values = parser.parse_args(_completed(_config_first(arguments), _options(function)))
    except (ArgumentError, ArgumentTypeError, TypeError, ValueError) as error:
        known = [option.typed for option in _options(function)]
        text = explain_config(str(error), arguments, known=known, parts={}, kind="argument")
        raise InputError(text) from error
    given = {
        name: _value(name, parameter.annotation, values)
        for name, parameter in inspect.signature(function).parameters.items()
    }
    return function(**given)


def _value(name: str, kind: Any, values: Namespace) -> object:
    """The value of a parameter: what was parsed, or a dataclass built from its parsed fields."""
    if not dataclasses.is_dataclass(kind):
        return values[name]
    fields = {field.name: values[field.name] for field in dataclasses.fields(kind) if field.init}
    try:
        return cast("type", kind)(**fields)
    except ValueError as error:
        raise InputError(one_line(error)) from error


def _config_first(arguments: Sequence[str]) -> list[str]:
    """Move ``--config FILE`` to the front, so that options of the command line win over files."""
    words = iter(arguments)
    front: list[str] = []
    rest: list[str] = []
    for word in words:
        if word == "--config":
            front += [word, *islice(words, 1)]
        else:
            part = front if word.startswith("--config=") else rest
            part.append(word)
    return front + rest


def _completed(arguments: Sequence[str], options: Sequence[_Option]) -> list[str]:
    """Give the value true to an option that may be a flag or have a word, and has none."""
    words_of = {option.typed: _words(option.kind) for option in options if _words(option.kind)}
    done: list[str] = []
    for word, following in zip_longest(arguments, arguments[1:]):
        alone = word in words_of and following not in words_of[word]
        done.append(f"{word}=true" if alone else str(word))
    return done


def _words(kind: Any) -> list[str]:
    """The words that an option takes which may also be a flag; none of any other option."""
    kinds = typing.get_args(kind)
    return [word for each in kinds for word in typing.get_args(each)] if bool in kinds else []


def build_parser(function: Callable[..., object], called: str | None = None) -> ArgumentParser:
    """Make the parser of a command; ``called`` is its name in the help."""
    parser = ArgumentParser(
        prog=called or f"shapespace {function.__name__}",
        description=(inspect.getdoc(function) or "").partition("Args:")[0].strip(),
        formatter_class=_HelpFormatter,
        exit_on_error=False,
    )
    options = _options(function)
    names = [option.name for option in options]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"{function.__name__}: two parameters or fields are named {', '.join(twice)}"
    for option in options:
        _add(parser, option)
    if "config" not in names:
        text = "YAML file with options of this command, underscores for dashes; those given win."
        parser.add_argument("--config", action="config", help=text)
    return parser


def _options(function: Callable[..., object]) -> list[_Option]:
    """All arguments of a command in the order of the signature, dataclasses field by field."""
    described = _described(function)
    options: list[_Option] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if dataclasses.is_dataclass(parameter.annotation):
            options += _options_of_fields(parameter)
            continue
        positional = parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        options.append(
            _Option(
                name=name,
                kind=parameter.annotation,
                default=parameter.default,
                positional=positional,
                text=described[name],
            )
        )
    return options


def _options_of_fields(parameter: inspect.Parameter) -> Iterator[_Option]:
    """One option a field of the dataclass that annotates ``parameter``.

    A default of the parameter, an instance, gives the defaults of the options. Without one the
    dataclass does.
    """
    kind = parameter.annotation
    instance = parameter.default
    described = _described(kind)
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        default: object = inspect.Parameter.empty
        if dataclasses.is_dataclass(instance):
            default = getattr(instance, field.name)
        elif field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        assert field.name in described, f"{kind.__name__}: Args: does not describe {field.name}"
        yield _Option(
            name=field.name,
            kind=field.type,
            default=default,
            positional=False,
            text=described[field.name],
        )


def _described(documented: object) -> dict[str, str]:
    """The ``Args:`` section of a docstring: the text of each name, on one line."""
    items = parse_docstring(inspect.getdoc(documented) or "").params
    return {item.arg_name: " ".join((item.description or "").split()) for item in items}


def _add(parser: ArgumentParser, option: _Option) -> None:
    """Add one argument to a parser."""
    kind = option.kind
    default = option.default
    if option.positional:
        settings: dict[str, Any] = {"type": kind}
        optional = default is not inspect.Parameter.empty
        if "list" in str(kind):
            settings = {"nargs": "*" if optional else "+", "type": str}
        elif optional:
            settings |= {"nargs": "?"}
        if optional:
            settings["default"] = default
    elif kind is bool:
        assert default is False, f"{option.name}: a flag is False by default"
        settings = {"action": "store_true"}
    else:
        required = default is inspect.Parameter.empty
        settings = {"required": True} if required else {"default": default}
        settings |= {"nargs": "+", "type": str} if kind == list[str] | None else {"type": kind}
    parser.add_argument(option.typed, help=option.text, **settings)


def _dashed(name: str) -> str:
    """The option of a parameter: ``--num-points`` for ``num_points``."""
    return "--" + name.replace("_", "-")


def explain_config(
    message: str,
    args: Sequence[str],
    known: Sequence[str],
    parts: Mapping[str, Sequence[str]],
    kind: Literal["argument", "key"] = "key",
) -> str:
    """Say on one short line what a parser complains about, and what was probably meant.

    Args:
        message: the complaint of jsonargparse.
        args: words of the command line.
        known: all names there are: arguments as typed with their dashes, or keys with dots.
        parts: import paths of the classes that can be chosen, by the key of the part.
        kind: "key" for the options of a training, "argument" for those of other commands.

    Returns:
        The explanation, behind the name of a config file and a colon if the mistake is there. A
        complaint of unknown form comes back as it is.
    """
    text = one_line(message)
    if found := _NO_CONFIG.search(text):
        return _no_config(path=found[2], reason=found[1].lower(), kind=kind)
    if found := _NOT_YAML.search(text):
        return f"{_unparsable(args)}: is not YAML ({found[1]})"
    if found := _NO_MAPPING.search(text):
        return f"--config: {found[1]!r} must be a YAML file of options and their values"
    # The sentence about a class of many that are possible may stand at the end of a long text.
    whole = " ".join(message.split())
    if found := _DENIED.search(whole):
        file = _blamed_file(found[1], args)
        return f"{file}names the class {one_line(found[1], 80)!r}, {untrusted(found[1])}"
    if found := _NO_MODULE.search(whole):
        return _blamed_file(found[1], args) + not_found(found[1], found[0])
    if found := _UNKNOWN_CLASS.search(text):
        text = f"{found[1]}: {unknown(found[2], parts.get(found[1], ()), 'class')}"
        return _blamed_file(found[2], args) + text
    key, text = _explained(text, known, kind)
    return _blamed_file(key.rpartition(".")[2], args) + text


def _no_config(path: str, reason: str, kind: str) -> str:
    """Name the recipes to a training whose config cannot be read; no other command has any."""
    text = f"{path}: cannot be a config ({reason}); "
    if kind != "key":
        return text + "give a YAML file of options"
    return text + instead_of(path)


def _explained(text: str, known: Sequence[str], kind: str) -> tuple[str, str]:
    """The key that a complaint is about, empty if none is, and an explanation."""
    if found := _MISSING.search(text):
        names = [_as_known(name.removeprefix("fit."), known) for name in found[1].split(", ")]
        return "", f"missing {' and '.join(names)}; --help lists what is needed"
    if found := _UNKNOWN_IN_PART.search(text):
        key = f"{found[1]}.init_args.{found[2]}"
        return key, unknown(key, known, kind)
    if found := _UNKNOWN.search(text):
        key = found[1].lstrip("-")
        return key, unknown(found[1] if kind == "argument" else key, known, kind)
    kinds = [_kind(expected) for expected in dict.fromkeys(_EXPECTED.findall(text))]
    found = _WRONG_TYPE.search(text)
    if found and kinds:
        key = ".init_args.".join(_KEY.findall(text))
        return key, f"{_as_known(key, known)}={found[1]}: must be {' or '.join(kinds)}"
    return "", text


def _blamed_file(name: str, args: Sequence[str]) -> str:
    """The last config file that holds ``name``, with a colon.

    The result is empty if the command line holds the name itself: its options win.
    """
    if not name:
        return ""
    # num_points of a file is --num-points on the command line.
    spelt = re.escape(name).replace("_", "[_-]")
    word = re.compile(rf"(?<!\w){spelt}(?!\w)")
    files = config_files(args)
    # The path of a config may hold the name too, which says nothing about an option.
    options = [arg for arg in args if Path(arg.rpartition("=")[2]) not in files]
    if any(word.search(option) for option in options):
        return ""
    holding = [path for path in files if word.search(_text(path))]
    return f"{holding[-1]}: " if holding else ""


def _unparsable(args: Sequence[str]) -> str:
    """The first config file that is not YAML; jsonargparse does not name the file."""
    for path in config_files(args):
        try:
            read_config(path)
        except yaml.YAMLError:
            return str(path)
    return "the command line"


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")


def unknown(name: str, known: Sequence[str], kind: str) -> str:
    """Say that a name is unknown, and which known name is similar.

    Args:
        name: the unknown name.
        known: names there are; one may also match by its part after the last dot.
        kind: word for the name in the message, such as "key".
    """
    last = {full.rpartition(".")[2]: full for full in known}
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    if not near:
        parts = get_close_matches(name.rpartition(".")[2], last, n=1, cutoff=0.7)
        near = [last[part] for part in parts]
    hint = f"did you mean {near[0]!r}?" if near else "--help lists all there are"
    return f"unknown {kind} {name!r}; {hint}"


def _as_known(name: str, known: Sequence[str]) -> str:
    """The name as it is typed: with dashes if that is an option."""
    return _dashed(name) if _dashed(name) in known else name


def _kind(expected: str) -> str:
    """A type of jsonargparse's message in words: "an int", "null", "one of 'dry', 'warm'"."""
    name = _EXPECTED_NAME.sub(r"\1\2", expected)
    if expected.startswith("typing."):
        return f"one of {name}"
    return {"NoneType": "null"}.get(name, f"{'an' if name[0] in 'aeiou' else 'a'} {name}")
