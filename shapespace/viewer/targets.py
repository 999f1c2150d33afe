"""What ``shapespace view`` opens: a checkpoint, a run, a folder of runs, a folder of results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shapespace.checkpoint import CHECKPOINT
from shapespace.errors import InputError, printable
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.reconstruction.results import FACTS, Reconstruction, read_facts, read_result
from shapespace.sharing.bundle import is_bundle
from shapespace.space import TrainedSpace
from shapespace.viewer.watch import RunWatch, first_space

MOST_RUNS = 200
"""Runs of a folder that are listed."""


@dataclass(frozen=True)
class Opened:
    """What a page shows.

    Args:
        space: the space that is shown first.
        watch: the run that is followed, if any.
        runs: checkpoints that can be shown in its place, by the names of their folders.
        run: the name of the one that is shown first; "" if there are no others.
        results: folder of reconstructions by the space, if any.
        names: of these reconstructions.
    """

    space: TrainedSpace
    watch: RunWatch | None = None
    runs: dict[str, Path] = field(default_factory=dict)
    run: str = ""
    results: Path | None = None
    names: tuple[str, ...] = ()

    def result(self, name: str) -> Reconstruction:
        """A reconstruction, read anew; InputError if it is damaged or gone."""
        found = None if self.results is None else read_result(self.results, name)
        if found is None:
            raise InputError(f"{printable(name)}: is not there any more; open the folder anew")
        return found


def opened(
    path: Path,
    *,
    watch: bool = False,
    results: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Opened:
    """What a path of the user is, opened.

    Args:
        path: a checkpoint, a folder that ``shapespace export`` wrote, the folder of a run, or a
            folder that holds the folders of runs.
        watch: follow the run while it trains.
        results: folder that ``shapespace reconstruct`` wrote.
        say: called with lines for the terminal.

    Raises:
        InputError: there is no space, or no reconstruction where some were promised.
    """
    names = () if results is None else _names_in(results)
    if watch:
        if path.is_file():
            raise InputError(f"{path}: is a file; --watch follows the folder of a run")
        followed = RunWatch(path)
        return Opened(first_space(followed, say), followed, results=results, names=names)
    runs: dict[str, Path] = {}
    if path.is_dir() and not _is_space(path):
        runs = {
            folder.name: folder / CHECKPOINT
            for folder in sorted(path.iterdir())
            if (folder / CHECKPOINT).is_file()
        }
        if not runs:
            raise InputError(_no_space(path))
        if len(runs) > MOST_RUNS:
            say(f"{path}: holds {len(runs)} runs; the first {MOST_RUNS} are listed")
            runs = dict(list(runs.items())[:MOST_RUNS])
        path = next(iter(runs.values()))
    elif (path / CHECKPOINT).is_file():
        path = path / CHECKPOINT
    run = next(iter(runs), "")
    return Opened(space_of_meshes(path), None, runs, run, results, names)


def _is_space(folder: Path) -> bool:
    """Whether a folder is a run with a checkpoint, or an exported space."""
    return (folder / CHECKPOINT).is_file() or is_bundle(folder)


def _names_in(folder: Path) -> tuple[str, ...]:
    """Names of the reconstructions in a folder; InputError if there are none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; check the path")
    names = [path.stem for path in sorted(folder.glob(f"*{FACTS}"))]
    found = tuple(name for name in names if read_result(folder, name) is not None)
    if not found:
        raise InputError(
            f"{folder}: holds no reconstruction; give a folder that shapespace reconstruct wrote"
        )
    return found


def _no_space(folder: Path) -> str:
    """Why a folder cannot be opened, and what to type in its place."""
    for path in sorted(folder.glob(f"*{FACTS}")):
        facts = read_facts(folder, path.stem) or {}
        if isinstance(facts.get("checkpoint"), str):
            made_by = printable(facts["checkpoint"])
            return (
                f"{folder}: holds reconstructions, made by the space {made_by}; open that one: "
                f"shapespace view {made_by} --results {folder}"
            )
    return (
        f"{folder}: holds no {CHECKPOINT}, and no folder below it does; give a checkpoint, the "
        "folder of a run or of several, or wait for a first checkpoint with --watch"
    )
