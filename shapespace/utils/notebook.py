"""Manners in a notebook: one line for each object, and a viewer where there is one."""

from html import escape
from typing import Any

import trimesh

from shapespace.errors import InputError, one_line


class Shown:
    """An object that a notebook shows by its one line."""

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


def nothing() -> None:
    """Do nothing between two steps."""


def shown(mesh: trimesh.Trimesh) -> Any:
    """Show a mesh in a notebook or a window, and return what trimesh's viewer returns.

    Raises:
        InputError: there is no viewer.
    """
    try:
        return mesh.show()
    # Each viewer that is missing or has no screen raises errors of its own.
    except Exception as error:
        raise InputError(
            f"no viewer ({one_line(error, 100)}): install pyglet, call it in a notebook, or write "
            "the mesh by its method export"
        ) from error
