"""The recipes: config files of the package, which are found by their names.

The files are here; ``configs/`` of the repository holds links to them.
"""

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
RECIPES = {
    str(path.relative_to(FOLDER).with_suffix("")): path for path in sorted(FOLDER.rglob("*.yaml"))
}
"""File of each recipe by its name, such as ``bodies-cpu`` or ``hardware/gpu``."""
DEMO = RECIPES["demo"]
SURFACE = RECIPES["surface"]


def with_recipes(arguments: Sequence[str]) -> list[str]:
    """Replace the name of a recipe after ``--config`` by the path of its file.

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


def _path(name: str) -> str:
    """The file of a recipe; ``name`` itself if it is a file or no recipe."""
    return name if Path(name).is_file() else str(RECIPES.get(name, name))
