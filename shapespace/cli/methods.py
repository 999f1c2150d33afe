"""The command ``methods``: the signature is the syntax, the docstring the help."""

from pathlib import Path
from typing import NamedTuple

from shapespace.cli.output import say
from shapespace.config.recipes import METHODS
from shapespace.errors import InputError


class Method(NamedTuple):
    """A method of the field, as its overlay describes it.

    Args:
        name: of the overlay.
        what: the method in a line.
        paper: where it was published.
        needs: what it reads beside points; "-" for nothing.
        kind: what the values of its field are.
        note: the other lines of the note at the top of the overlay.
    """

    name: str
    what: str
    paper: str
    needs: str
    kind: str
    note: tuple[str, ...]


def methods(*, about: str | None = None) -> None:
    """List the methods of the field that a space can be trained with, or describe one.

    Each method is an overlay: it goes on top of a recipe, which says how large network, batch and
    run are. The columns are: its name; what its field is (a distance, clamped, a logit); what it
    needs beside points; what it is, and the paper. Everything else is the same for all methods:
    reconstruct, evaluate, diagnose and report.

      shapespace methods
      shapespace methods --about sal
      shapespace train --config bodies-cpu --config sal --data.store scans.hdf5

    Args:
        about: name of a method whose note is shown: published constants, and what differs.
    """
    from difflib import get_close_matches

    from shapespace.utils.text import aligned

    if about is None:
        rows = [("method", "field", "needs", "what")]
        for method in map(described, METHODS):
            rows.append((method.name, method.kind, method.needs, f"{method.what} ({method.paper})"))
        say("\n".join(aligned(rows, left=len(rows[0]))))
        return
    if about not in METHODS:
        near = get_close_matches(about, METHODS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(METHODS)}"
        raise InputError(f"there is no method {about!r}; {hint}")
    method = described(about)
    facts = [
        ("what", method.what),
        ("paper", method.paper),
        ("needs", method.needs),
        ("field", method.kind),
        ("file", str(METHODS[about])),
    ]
    say("\n".join([*aligned(facts, left=2), "", *method.note]))


def described(name: str) -> Method:
    """A method from the note of its overlay and from its objective."""
    import yaml

    from shapespace.config.parts import build_part
    from shapespace.objectives.base import Objective

    text = Path(METHODS[name]).read_text()
    lines = [line.lstrip("# ") for line in text.partition("\nmodel:")[0].splitlines()]
    facts = dict(line.split(": ", 1) for line in lines[:2])
    part = yaml.safe_load(text)["model"]["objective"]
    objective = build_part(part, Objective, f"{name}: objective")
    return Method(
        name=name,
        what=facts["what"],
        paper=facts["paper"],
        needs=", ".join(sorted(objective.needs)).replace("_", " ") or "-",
        kind=objective.kind,
        note=tuple(lines[2:]),
    )
