"""The configs that commands use themselves, so that an installed package needs no other files.

``configs/`` of the repository links to them.
"""

from collections.abc import Sequence
from pathlib import Path

SURFACE = Path(__file__).with_name("surface.yaml")
DEMO = Path(__file__).with_name("demo.yaml")
IGR_PUBLISHED = Path(__file__).with_name("igr-published.yaml")
RECIPES = {path.stem: path for path in (SURFACE, DEMO, IGR_PUBLISHED)}


def with_recipes(arguments: Sequence[str]) -> list[str]:
    """``arguments`` where ``--config NAME`` of a recipe has become that of its file.

    A file of that name in the working folder comes first.
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
