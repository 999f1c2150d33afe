"""Parts of a space built from plain data, as a checkpoint keeps them.

No text is interpreted: no file is opened, and nothing is imported but the module of a known class
(:mod:`shapespace.config.trust`). Arguments have the types that the class annotates.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from torch import nn

from shapespace.config.trust import PARTS, check_class_path, is_under, not_found
from shapespace.errors import InputError, one_line

KEYS = {"class_path", "init_args", "dict_kwargs"}
"""Keys of the plain data of a part."""
MAX_DEPTH = 20
MAX_VALUES = 10_000
"""Limits of the plain data of all parts: nesting, and values with shared ones written out."""
LARGEST = 2**53
"""Largest number of a checkpoint's counts."""
Part = TypeVar("Part")


def check_parts(hyper: Mapping[str, object], names: Sequence[str], where: str) -> None:
    """Raise InputError unless the parts of a checkpoint are plain data with known classes.

    Args:
        hyper: hyper-parameters of the checkpoint.
        names: of the parts in them.
        where: the checkpoint, for messages.
    """
    for name in names:
        part = hyper.get(name)
        if not isinstance(part, dict) or not {"class_path"} <= part.keys() <= KEYS:
            raise InputError(
                f"{where}: hyper_parameters.{name} is a {type(part).__name__}, not a part with "
                "class_path and init_args"
            )
    left = MAX_VALUES
    waiting: list[tuple[object, int]] = [(dict(hyper), 0)]
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise InputError(
                f"{where}: its hyper_parameters hold more than {MAX_VALUES} values or {MAX_DEPTH} "
                "levels, which no model needs"
            )
        if isinstance(value, dict):
            if "class_path" in value:
                check_class_path(value["class_path"], where)
            waiting += [(item, depth + 1) for item in (*value, *value.values())]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
        elif not isinstance(value, str | int | float | None):
            raise InputError(
                f"{where}: its hyper_parameters hold a {type(value).__name__}; they are plain data"
            )


def check_like(value: object, like: Any, where: str) -> None:
    """Raise InputError unless plain data have a given structure; further keys are allowed.

    Args:
        value: plain data, as a checkpoint holds them.
        like: a type; or a dictionary with what the value of each key must be like; or an example,
            whose type counts. A whole number must not be negative, and no number NaN.
        where: name of the value, for messages.
    """
    if isinstance(like, dict):
        if not isinstance(value, dict):
            raise InputError(f"{where} is a {type(value).__name__}, not a mapping")
        for key, inner in like.items():
            if key not in value:
                raise InputError(f"{where} lacks {key}")
            check_like(value[key], inner, f"{where}.{key}")
        return
    kind = like if isinstance(like, type) or typing.get_origin(like) else type(like)
    _value(value, kind, where)
    inner = value.values() if isinstance(value, dict) else value
    # NaN differs from itself.
    numbers = [inner] if isinstance(inner, float) else inner if typing.get_origin(kind) else []
    if any(number != number for number in cast("Any", numbers)) or (
        kind is int and not 0 <= cast("int", value) <= LARGEST
    ):
        raise InputError(f"{where} is {_short(value)}, which is no count or measure")


def known_class(path: str, base: type[Part], where: str) -> type[Part]:
    """Import a known class.

    Args:
        path: its import path.
        base: class of which it must be a subclass.
        where: name of the part, for messages.

    Raises:
        InputError: the class is not known, not found or of another kind.
    """
    check_class_path(path, where)
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except Exception as error:
        raise InputError(f"{where}: {not_found(path, error)}") from error
    if not isinstance(kind, type) or not issubclass(kind, base):
        raise InputError(f"{where}: {one_line(path, 80)!r} is no {base.__name__}")
    if kind is base and is_under(path, PARTS[:4]):
        raise InputError(f"{where}: {base.__name__} is the base of all; name one of them")
    # A module of a known package may hold what another package defines.
    check_class_path(f"{kind.__module__}.{kind.__qualname__}", where)
    return kind


def build_part(part: object, base: type[Part], where: str) -> Part:
    """Build a part from its class path and arguments.

    Args:
        part: ``class_path`` and ``init_args``.
        base: class of which the part must be an instance.
        where: name of the part, for messages.

    Raises:
        InputError: the class is not known, an argument is unknown or of another type, or the class
            refuses them.
    """
    kind, arguments = part_arguments(part, base, where)
    try:
        return kind(**arguments)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        raise
    except Exception as error:
        # The class of a user may raise anything.
        raise InputError(f"{where}: {_said_by(kind, error)}") from error


def part_arguments(
    part: object, base: type[Part], where: str
) -> tuple[type[Part], dict[str, object]]:
    """The class of a part, and the arguments that build it; see :func:`build_part`.

    Args:
        part: ``class_path`` and ``init_args``.
        base: class of which the part must be an instance.
        where: name of the part, for messages.
    """
    if not isinstance(part, dict) or not {"class_path"} <= part.keys() <= KEYS:
        raise InputError(f"{where}: is a {type(part).__name__}; give class_path and init_args")
    kind = known_class(part["class_path"], base, where)
    init_args, more = part.get("init_args") or {}, part.get("dict_kwargs") or {}
    for name, value in (("init_args", init_args), ("dict_kwargs", more)):
        if not isinstance(value, dict):
            raise InputError(f"{where}.{name}: is a {type(value).__name__}, not a mapping")
    given = {**init_args, **more}
    parameters = inspect.signature(kind).parameters
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    initialise = cast("Any", kind).__init__
    try:
        hints = typing.get_type_hints(initialise)
    except Exception as error:
        # A name that was imported for type checkers only is not there.
        raise InputError(
            f"{where}: the annotations of {_said_by(kind, error)}; annotate arguments by names "
            "that can be imported"
        ) from error
    arguments: dict[str, object] = {}
    for name, value in given.items():
        if name not in parameters and not takes_more:
            raise InputError(f"{where}: {kind.__name__} has no argument {one_line(name, 60)!r}")
        arguments[name] = _value(value, hints.get(name, Any), f"{where}.{name}")
    return kind, arguments


def _said_by(kind: type, error: Exception) -> str:
    """What a class says that raised an error."""
    return f"{kind.__name__} raised {type(error).__name__} ({one_line(error, 120)})"


def check_size(
    part: object, base: type[nn.Module], weights: Mapping[str, Any], where: str = "decoder"
) -> None:
    """Raise an error for a module of shapespace that is larger than its weights.

    It is built without memory here, so that what a file declares cannot fill the memory. A module
    of a trusted package is not built, because it may not know how to be without memory.

    Args:
        part: ``class_path`` and ``init_args``.
        base: class of which the part must be an instance.
        weights: of the module, by name.
        where: name of the part, for messages.

    Raises:
        InputError: a number among its arguments is larger than any size of the weights, or the
            weights are those of another module.
    """
    kind, arguments = part_arguments(part, base, where)
    if not is_under(kind.__module__, PARTS):
        return
    sizes = [size for value in weights.values() for size in getattr(value, "shape", ())]
    most = max([len(weights), *sizes])
    for name, value in arguments.items():
        if type(value) is int and value > most:
            raise InputError(f"{where}.{name}={value}: its weights are those of a smaller {where}")
    with torch.device("meta"):
        wanted = kind(**arguments).state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        shapes = [getattr(each.get(name), "shape", None) for each in (weights, wanted)]
        if shapes[0] != shapes[1]:
            raise InputError(f"{one_line(name, 80)} differs from what the {where} has")


def _value(value: object, hint: Any, where: str) -> object:
    """A plain value as an argument of the annotated type; InputError if it is of another."""
    try:
        return _converted(value, hint, where)
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{where}={_short(value)}: must be {one_line(_shown(hint), 80)}"
        ) from error


def _short(value: object) -> str:
    """A plain value in few characters; a number of thousands of digits is not written out."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number of more than 15 digits"
    return one_line(repr(value)[:200], 60)


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _converted(value: Any, hint: Any, where: str) -> object:
    """As :func:`_value`, but TypeError or KeyError for a value of another type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return value
    if hint is None or hint is type(None) or hint in (bool, str, int):
        if type(value) is not (type(None) if hint is None else hint):
            raise TypeError
        return value
    if hint is float:
        if type(value) not in (int, float) or (type(value) is int and abs(value) > LARGEST):
            raise TypeError
        return float(value)
    if origin is Literal:
        return {(type(choice), choice): choice for choice in inner}[type(value), value]
    if origin in (typing.Union, types.UnionType):
        return _first_that_fits(value, inner, where)
    if origin in (list, tuple, dict, Sequence, Mapping) or hint in (list, tuple, dict):
        return _container(value, origin or hint, inner, where)
    return _of_class(value, hint, where)


def _first_that_fits(value: Any, hints: Sequence[Any], where: str) -> object:
    """A value as the first of several types that takes it; TypeError if none does."""
    for hint in hints:
        try:
            return _converted(value, hint, where)
        except (TypeError, KeyError):
            continue
    raise TypeError


def _container(value: Any, kind: Any, inner: Sequence[Any], where: str) -> object:
    """A list, tuple or dictionary whose items have the annotated types."""
    if kind in (dict, Mapping):
        if not isinstance(value, dict):
            raise TypeError
        item = inner[1] if inner else Any
        return {key: _converted(each, item, f"{where}.{key}") for key, each in value.items()}
    if not isinstance(value, list | tuple):
        raise TypeError
    if kind is tuple and inner and inner[-1] is not ...:
        return tuple(_converted(each, hint, where) for each, hint in zip(value, inner, strict=True))
    items = [_converted(each, inner[0] if inner else Any, where) for each in value]
    return tuple(items) if kind is tuple else items


def _of_class(value: Any, hint: Any, where: str) -> object:
    """An instance of an annotated class: a path, an enum, a dataclass or a part of its own."""
    if not isinstance(hint, type):
        raise InputError(
            f"{where}: its type {one_line(_shown(hint), 80)} is not one that a checkpoint can hold"
        )
    if issubclass(hint, Enum):
        return hint[value]
    if issubclass(hint, Path):
        return hint(cast("str", _converted(value, str, where)))
    if dataclasses.is_dataclass(hint) and "class_path" not in value:
        hints = typing.get_type_hints(hint)
        return hint(
            **{name: _value(each, hints[name], f"{where}.{name}") for name, each in value.items()}
        )
    if not isinstance(value, dict):
        raise TypeError
    return build_part(value, hint, where)
