"""The recipes: config files of the package, which are found by their names.

The files are here; ``configs/`` of the repository holds links to them. Those of ``methods/`` are
overlays, one for each method of the field, for a recipe that says how large network and run are.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

FOLDER = Path(__file__).parent


def _named(folder: str) -> dict[str, Path]:
    """The files below a folder, by their paths in it without suffix."""
    paths = sorted((FOLDER / folder).rglob("*.yaml"))
    return {str(path.relative_to(FOLDER / folder).with_suffix("")): path for path in paths}


_OVERLAYS = _named("methods")
RECIPES = {name: path for name, path in _named("").items() if path.parent.name != "methods"}
"""File of each recipe by its name, such as ``bodies-cpu`` or ``hardware/gpu``; no methods."""
METHODS = {"igr-published": RECIPES["igr-published"], **_OVERLAYS}
"""File of the overlay of each method by its name, such as ``sal``."""
DEMO = RECIPES["demo"]
SURFACE = RECIPES["surface"]


def with_recipes(arguments: Sequence[str]) -> list[str]:
    """Replace the name of a recipe or method after ``--config`` by the path of its file.

    A file of that name in the working folder comes first. All other words do not change.

    Args:
        arguments: words of a command line.
    """
    found: list[str] = []
    before = ""
    for word in arguments:
        option, sign, value = word.partition("=")
        if before in ("--config", "-c"):
            word = _path(word)
        elif option in ("--config", "-c") and sign:
            word = f"{option}={_path(value)}"
        found.append(word)
        before = word
    return found


def instead_of(name: str) -> str:
    """The remedy for the name of a config that there is not: the nearest one, or all of them."""
    known = RECIPES | METHODS
    for recipe, path in known.items():
        # The repository has its recipes in configs/, which an installation has not.
        if name.endswith(f"configs/{path.relative_to(FOLDER)}"):
            return f"say --config {recipe}"
    near = get_close_matches(Path(name).name, known, 1, cutoff=0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    return (
        f"{hint}give a file, or a recipe by name: {', '.join(RECIPES)}; shapespace methods lists "
        "one more for each method"
    )


def _path(name: str) -> str:
    """The file of a recipe or method; ``name`` itself if it is a file or neither."""
    return name if Path(name).is_file() else str((RECIPES | METHODS).get(name, name))
