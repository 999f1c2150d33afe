"""From files on disk to a store: what to read, by how many workers, what to tell the user.

Every scan that is done is kept in a part of its own (``partial.py``). At the end the store is put
together in the order of the names. Its content is the same whatever the number of workers, and
however often the run was stopped.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from shapespace.data.prepare.assemble import Assembly, Tally, load_scan
from shapespace.data.prepare.points import NEIGHBOUR, NormalsSource, PointOptions
from shapespace.data.sources import Source, discover, select
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import check_target
from shapespace.data.units import per_metre
from shapespace.errors import InputError, at_least, one_line
from shapespace.scan import PreparedScan
from shapespace.utils.launch import parse_shard


@dataclass(frozen=True)
class PrepareSummary:
    """What :func:`prepare` did.

    store: the file written; tally: what was read and skipped; ignored: files beside the scans that
    are not scans; content: the store's.
    """

    store: Path
    tally: Tally
    seconds: float
    workers: int
    ignored: int
    content: str

    def __str__(self) -> str:
        tally = self.tally
        lines = [f"scans: {len(tally.read)}, {tally.num_points} points, {self.seconds:.1f} s"]
        lines += self._speed()
        lines += [f"skipped {one_line(name)}: {reason}" for name, reason in tally.skipped]
        lines += [f"warning: {warning}" for warning in tally.warnings()]
        if self.ignored:
            lines.append(f"other files ignored: {self.ignored}")
        return "\n".join([*lines, f"content {self.content[:16]}"])

    def _speed(self) -> list[str]:
        """How fast the new scans were made, and what took the time."""
        kept, stages = self.tally.kept, self.tally.stages
        lines = [f"of these from an earlier run: {kept}"] if kept else []
        done, busy = len(self.tally.read) - kept, sum(stages.values())
        if done and busy:
            shares = ", ".join(f"{name} {took / busy:.0%}" for name, took in stages.items())
            rate = f"{done / busy:.2f} scans a second and worker, workers: {self.workers}"
            lines.append(f"{rate}; {shares}")
        return lines


def prepare(
    source: str | Path,
    store: str | Path,
    *,
    num_points: int | None = None,
    scans: Sequence[str] | None = None,
    every: int = 1,
    workers: int = 1,
    shard: str | None = None,
    unit: Literal["m", "cm", "mm", "in"] = "m",
    normalise: bool = False,
    normals: NormalsSource = "estimate",
    cameras: Float64[np.ndarray, "C D"] | None = None,
    targets: int = 0,
    seed: int = 0,
    strict: bool = False,
    progress: bool = True,
) -> PrepareSummary:
    """Read the scans of ``source`` and write them to ``store``, all or nothing.

    A run that was stopped goes on where it stood when it is called again; scans that are in the
    store already, from the same file and by the same options, are kept.

    Args:
        source: a file, a folder or a D-FAUST layout, see ``find_sources``.
        store: the file to write; a store that is there is replaced.
        num_points: points a scan; by default 250 000, or all that a smaller cloud has.
        scans: names of the scans to keep, all by default.
        every: keep each n-th frame of each sequence, or each n-th file of a folder.
        workers: processes; with more than one, a script needs its ``__main__`` guard.
        shard: "i/n" takes the i-th of n parts of the scans and writes :func:`shard_path`.
        unit: length unit of the source; the store is in metres.
        normalise: scale each scan to radius 1 instead; the store's unit is then "radius".
        normals: "source" keeps those of the source, "estimate" also fits some to bare clouds,
            "none" keeps none.
        cameras: positions from which all scans were taken, in the source's frame and unit; they
            tell the outer side of estimated normals.
        targets: points around each scan whose distances are stored, see ``targets.py``.
        seed: of sampling and shuffling, not negative.
        strict: stop at the first bad scan instead of skipping it.
        progress: show bars on stderr.

    Raises:
        InputError: nothing could be read, an argument is wrong, or another process is writing the
            same store; the store is as it was.
    """
    start = time.monotonic()
    scale = None if normalise else per_metre(unit)
    options = _options(num_points, seed, scale, normals, targets)
    at_least(1, workers=workers)
    part, of = (1, 1) if shard is None else parse_shard(shard)
    found, ignored = discover(Path(source))
    sources = select(found, scans, every)[part - 1 :: of]
    path = Path(store) if shard is None else shard_path(store, part, of)
    check_target(path)
    assembly = Assembly(
        path, "radius" if normalise else "m", shard or "", options, cameras, strict, progress
    )
    tally = assembly.run(sources, workers)
    content = ScanStore(path).content
    return PrepareSummary(path, tally, time.monotonic() - start, workers, ignored, content)


def prepare_file(
    path: str | Path,
    *,
    num_points: int | None = None,
    seed: int = 0,
    scale: float | None = 1.0,
    normals: NormalsSource = "estimate",
) -> PreparedScan:
    """Read the scan file ``path``, name it by its stem and prepare it.

    scale: source units per stored unit, None for the scan's own radius. :class:`InputError` as
    ``read_raw`` and ``prepare_scan``.
    """
    return load_scan(
        Source(Path(path).stem, Path(path)), _options(num_points, seed, scale, normals, 0)
    )


def shard_path(store: str | Path, part: int, of: int) -> Path:
    """``scans.3-of-8.hdf5`` for part 3 of 8 of ``scans.hdf5``, with zeros that sort them."""
    path = Path(store)
    return path.with_name(f"{path.stem}.{part:0{len(str(of))}d}-of-{of}{path.suffix}")


def _options(
    num_points: int | None, seed: int, scale: float | None, normals: NormalsSource, targets: int
) -> PointOptions:
    if num_points is not None and num_points <= NEIGHBOUR:
        raise InputError(f"num_points={num_points}: at least {NEIGHBOUR + 1} are needed for sigma")
    at_least(0, seed=seed, targets=targets)
    return PointOptions(num_points, seed, scale, normals, targets)
