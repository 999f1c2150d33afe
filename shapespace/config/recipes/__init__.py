"""The recipes: config files that are part of the package, so that each is known by its name.

``configs/`` of the repository links to them; here is the one place where each lies.
"""

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
RECIPES = {
    str(path.relative_to(FOLDER).with_suffix("")): path for path in sorted(FOLDER.rglob("*.yaml"))
}
"""Name of a recipe, such as ``bodies-cpu`` or ``hardware/gpu``, and its file."""
DEMO, SURFACE = RECIPES["demo"], RECIPES["surface"]


def with_recipes(arguments: Sequence[str]) -> list[str]:
    """Replace the name of a recipe after ``--config`` by the path of its file.

    A file of that name in the working folder comes first. All other words stay as they are.

    Args:
        arguments: words of a command line.
    """
    found, before = [], ""
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
    return name if Path(name).is_file() else str(RECIPES.get(name, name))
