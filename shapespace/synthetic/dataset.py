"""Data sets of synthetic people: raw scans, their exact surfaces, and a split.

Frame: y up, facing +z, floor y = 0, metres. A folder has the layout of the raw D-FAUST::

    scans/<subject>/<sequence>/<sequence>.<frame:06d>.ply    raw scan, open and noisy
    surfaces/<subject>_<sequence>_<frame:06d>.ply            the surface that was scanned
    train.txt  unseen.txt                                    names, <subject>_<sequence>_<frame:06d>
    dataset.json                                             the options of the folder

The unseen scans are whole sequences. A split by frames would leak: neighbouring frames are nearly
equal.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from shapespace.errors import InputError
from shapespace.synthetic.bodies import Body, body, body_mesh
from shapespace.synthetic.identity import SUBJECTS, Identity
from shapespace.synthetic.motions import MOTIONS
from shapespace.synthetic.scanner import Scanner
from shapespace.utils.files import replacing
from shapespace.utils.progress import progress

__all__ = [
    "MOTIONS",
    "MOTIONS_OF_DEMO",
    "SUBJECTS",
    "Body",
    "Identity",
    "Scanner",
    "SyntheticDataset",
    "SyntheticScan",
    "body",
    "body_mesh",
    "plan_dataset",
    "write_dataset",
]
MOTIONS_OF_DEMO = ("hips", "jumping_jacks", "knees", "punching", "shake_arms", "shake_hips")
"""Motions of the default data set."""
_PERIOD = 120
"""Frames of a sequence: two seconds at 60 a second, one period of the motion."""
_FIRST = 73
_STRIDE = 47
"""Frames from sequence to sequence, and from scan to scan of a sequence. Neither has a divisor in
common with the period, so no frame comes twice."""


@dataclass(frozen=True)
class SyntheticScan:
    """One scan of a data set.

    Args:
        identity: the person.
        sequence: name of the motion.
        frame: number of the frame, at 60 a second; 120 frames are a period.
    """

    identity: Identity
    sequence: str
    frame: int

    @property
    def name(self) -> str:
        """Name of the scan, ``<subject>_<sequence>_<frame:06d>``."""
        return f"{self.identity.name}_{self.sequence}_{self.frame:06d}"

    @property
    def scan_path(self) -> Path:
        """Path of the raw scan, relative to the folder of the data set."""
        file = f"{self.sequence}.{self.frame:06d}.ply"
        return Path("scans", self.identity.name, self.sequence, file)

    @property
    def surface_path(self) -> Path:
        """Path of the exact surface, relative to the folder of the data set."""
        return Path("surfaces", f"{self.name}.ply")


@dataclass(frozen=True)
class SyntheticDataset:
    """A data set and its split; the scans are in the order of their names.

    Args:
        folder: folder of the data set.
        train: scans to train on, by subject and motion.
        unseen: scans to test on.
        made: number of scans whose files were written now; the others existed.
    """

    folder: Path
    train: tuple[SyntheticScan, ...]
    unseen: tuple[SyntheticScan, ...]
    made: int = 0


def plan_dataset(
    folder: str | Path,
    subjects: Sequence[Identity] = SUBJECTS[:4],
    motions: Sequence[str] = MOTIONS_OF_DEMO,
    frames: int = 2,
) -> SyntheticDataset:
    """List the scans of a data set without writing them.

    Every subject does every motion. One motion of each subject is unseen, a different one from
    subject to subject. With a single motion no scan is unseen. The defaults give 40 scans to train
    on and 8 unseen scans; three frames (shapespace demo) give 60 and 12.

    Args:
        folder: folder of the data set.
        subjects: the people.
        motions: names of motions, out of MOTIONS.
        frames: scans of each sequence, spread over the motion, 1 to 120.

    Raises:
        InputError: A motion is unknown, a name comes twice, or ``frames`` is out of range.
    """
    motions = sorted(motions)
    _check(subjects, motions, frames)
    train: list[SyntheticScan] = []
    unseen: list[SyntheticScan] = []
    for i, identity in enumerate(sorted(subjects, key=lambda identity: identity.name)):
        for j, motion in enumerate(motions):
            held_out = len(motions) > 1 and (3 * i + 1) % len(motions) == j
            first = _FIRST * (i * len(motions) + j)
            numbers = sorted((first + _STRIDE * k) % _PERIOD for k in range(frames))
            scans = [SyntheticScan(identity, motion, number) for number in numbers]
            part = unseen if held_out else train
            part.extend(scans)
    return SyntheticDataset(Path(folder), tuple(train), tuple(unseen))


def write_dataset(
    folder: str | Path,
    subjects: Sequence[Identity] = SUBJECTS[:4],
    motions: Sequence[str] = MOTIONS_OF_DEMO,
    frames: int = 2,
    seed: int = 0,
    workers: int = 1,
    resolution: float = 0.006,
) -> SyntheticDataset:
    """Write the files of a data set; files that exist are kept, so a stopped run can be resumed.

    Args:
        folder: folder of the data set.
        subjects: the people.
        motions: names of motions, out of MOTIONS.
        frames: scans of each sequence, 1 to 120.
        seed: seed of the scanner's noise.
        workers: number of processes; the files do not depend on it.
        resolution: side of a marching cubes cell of the surfaces, in metres.

    Raises:
        InputError: As in :func:`plan_dataset`; or the folder cannot be written, or holds a data set
            with other options; or embreex is not installed.
    """
    dataset = plan_dataset(folder, subjects=subjects, motions=motions, frames=frames)
    _claim(dataset, resolution, seed)
    scans = dataset.train + dataset.unseen
    make = partial(_make, dataset.folder, resolution=resolution, seed=seed)
    shown = partial(progress, desc="scanning", total=len(scans), unit="scan")
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            made = sum(shown(pool.map(make, scans)))
    else:
        made = sum(shown(map(make, scans)))
    for split, part in (("train", dataset.train), ("unseen", dataset.unseen)):
        text = "".join(f"{name}\n" for name in sorted(scan.name for scan in part))
        _write_text(dataset.folder / f"{split}.txt", text)
    return replace(dataset, made=made)


def _check(subjects: Sequence[Identity], motions: Sequence[str], frames: int) -> None:
    """InputError as :func:`plan_dataset` describes."""
    names = [identity.name for identity in subjects]
    for kind, given in (("subject", names), ("motion", motions)):
        if not given or len(set(given)) < len(given):
            raise InputError(f"{kind}s {', '.join(given) or '(none)'}: name each {kind} once")
    for motion in motions:
        if motion not in MOTIONS:
            raise InputError(f"motion {motion!r} is not known; use some of {', '.join(MOTIONS)}")
    if not 1 <= frames <= _PERIOD:
        raise InputError(f"frames {frames}: a sequence has 1 to {_PERIOD} frames")


def _claim(dataset: SyntheticDataset, resolution: float, seed: int) -> None:
    """Write the options into the folder; InputError if the folder has other options."""
    scans = dataset.train + dataset.unseen
    subjects = {scan.identity.name: asdict(scan.identity) for scan in scans}
    names = {split: [s.name for s in getattr(dataset, split)] for split in ("train", "unseen")}
    origin = {"resolution": resolution, "seed": seed, "subjects": subjects, **names}
    note = dataset.folder / "dataset.json"
    if not note.exists():
        _write_text(note, json.dumps(origin, indent=1) + "\n")
    elif note.read_text() != json.dumps(origin, indent=1) + "\n":
        raise InputError(
            f"{dataset.folder}: holds a synthetic data set made from other subjects, motions,"
            " frames, resolution or seed; delete it or choose another folder"
        )


def _make(folder: Path, scan: SyntheticScan, resolution: float, seed: int) -> bool:
    """Write the surface and the raw scan of ``scan``; False if both files exist."""
    surface_path = folder / scan.surface_path
    scan_path = folder / scan.scan_path
    if surface_path.exists() and scan_path.exists():
        return False
    surface = body_mesh(body(scan.identity, scan.sequence, scan.frame / _PERIOD), resolution)
    # The seed depends on the name of the scan alone, not on the worker that makes it.
    noise = np.random.SeedSequence([seed, int.from_bytes(scan.name.encode(), "little")])
    raw = Scanner()(surface, int(noise.generate_state(1)[0]))
    for mesh, path in ((surface, surface_path), (raw, scan_path)):
        with replacing(path) as part:
            mesh.export(part, vertex_normal=mesh is raw)
    return True


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text)
