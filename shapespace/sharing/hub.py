"""Spaces on the Hugging Face hub: the files of an exported space, fetched by name."""

import importlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from shapespace.errors import InputError, one_line

NAME = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?")
"""OWNER/NAME of a repository, with @REVISION where one is wanted."""


def is_hub_name(name: str | Path) -> bool:
    """True for OWNER/NAME or OWNER/NAME@REVISION, if no folder has that name here."""
    return NAME.fullmatch(str(name)) is not None and not Path(name).exists()


def fetched(name: str, files: Sequence[str]) -> Path:
    """Fetch an exported space from the hub, and return its folder in the cache of the user.

    What is there
    already is not fetched again.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION for a commit, branch or tag.
        files: names of the files that are wanted.

    Raises:
        InputError: the extra hub is not installed, or the hub has no such space.
    """
    found = NAME.fullmatch(name)
    assert found is not None, name
    repository, revision = found.groups()
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(
            f"{name}: there is no such folder, and a space of the hub needs the extra hub; "
            "pip install 'shapespace[hub]'"
        ) from error
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "shapespace" / name.replace("/", "--")
    try:
        # The cache of the hub has links, and only regular files are read from a space of others.
        hub.snapshot_download(
            repo_id=repository,
            revision=revision,
            allow_patterns=list(files),
            local_dir=folder,
        )
    # The hub raises errors of many types, of the network and its own.
    except Exception as error:
        raise InputError(f"{name}: the hub does not give it ({one_line(error, 150)})") from error
    return folder
