"""Scans a second and core of ``prepare``, against the published protocol written plainly.

    python benchmarks/prepare.py [--scans 12] [--rounds 3] [--source FOLDER] [--json FILE]
    python benchmarks/prepare.py --open 41000

The opponent (IGR, code/preprocess/dfaust.py re-typed): trimesh loads the mesh, samples 250 000
points with the normals of their faces, subtracts their mean, saves one float64 array [n,6]. It
measures no sigma and no checksum, and cannot resume. All read the same raw scans on one core, in
turns; without --source they are scans of synthetic people by the virtual scanner.

The shape-space protocol reads no sigma. ``prepare --sigma`` measures it, as every ``prepare`` once
did; points and normals of both are compared bit by bit.

``--open N`` writes a store of N scans of 60 points, and times how long it takes to open it and to
ask for all that a training needs to know of its scans, with and without the index.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import trimesh

from shapespace.data.formats.readers import READERS, checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.prepare.run import prepare
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.synthetic.dataset import SUBJECTS, write_dataset

NUM_POINTS = 250_000


def published(paths, out):
    """The published protocol, one scan after the other."""
    for path in paths:
        mesh = trimesh.load(path)
        points, faces = trimesh.sample.sample_surface(mesh, NUM_POINTS)
        normals = mesh.face_normals[faces]
        centre = points.mean(axis=0)
        np.save(out / f"{path.stem}.npy", np.hstack([points - centre, normals]))
        np.save(out / f"{path.stem}_normalization.npy", {"center": centre, "scale": 1})


def check_alike(paths, store, out):
    """Both hold points of the same surface: their means and spreads agree."""
    scans = ScanStore(store)
    assert len(scans) == len(paths)
    for path in paths:
        (name,) = (name for name in scans.names if name.endswith(path.stem.replace(".", "_")))
        ours, theirs = scans.read(name)[0], np.load(out / f"{path.stem}.npy")[:, :3]
        assert np.abs(ours.std(0) - theirs.std(0)).max() < 0.01 * theirs.std()


def content(path):
    """sha256 of the points and normals of a store."""
    digest = hashlib.sha256()
    with ScanStore(path) as store:
        for name in store.names:
            points, normals, _ = store.read(name)
            digest.update(points.tobytes() + normals.tobytes())
    return digest.hexdigest()


def timed(work, *arguments):
    """Seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def ask(path):
    """What a training asks of all scans before its first step."""
    store = ScanStore(path)
    return [(store.num_points(n), store.frame(n), store.normals_kind(n)) for n in store.names]


def write_many(path, count):
    """Write a store of ``count`` small scans."""
    cloud = np.random.default_rng(0).normal(size=(60, 3))
    scan = prepare_scan(checked(cloud, normals=cloud), "a", PointOptions(sigma=False))
    with StoreWriter(path, "m", 3) as writer:
        for number in range(count):
            writer.add(replace(scan, name=f"50002_walk_{number:06d}"))
    return path


def time_opening(count, scratch):
    """Seconds to open a store of ``count`` scans and to ask for all facts, by index and without."""
    result = {"scans": count}
    for key in ("by index", "without"):
        path = Path(scratch, f"{key}.hdf5")
        # A store without an index is what earlier versions wrote.
        left_out = patch("shapespace.data.store.writer.write_index", lambda *_: None)
        with left_out if key == "without" else nullcontext():
            write_many(path, count)
        seconds = [timed(ScanStore, path)[0] for _ in range(3)]
        result[f"open, {key}, s"] = round(min(seconds), 3)
        result[f"open and ask, {key}, s"] = round(timed(ask, path)[0], 3)
    return result


def main():
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, help="folder of raw scans in the D-FAUST layout")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--open", type=int, help="time the opening of a store of so many scans")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        measure = compare if args.open is None else lambda *_: time_opening(args.open, scratch)
        result = measure(args, scratch)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


def compare(args, scratch):
    """Scans a second of the published protocol and of both of ours, in turns."""
    source = args.source or Path(scratch, "people")
    if args.source is None:
        write_dataset(source, SUBJECTS[: max(args.scans // 12, 1)], workers=2)
    paths = sorted(p for p in (source / "scans").rglob("*") if p.suffix in READERS)
    names = [f"{p.parent.parent.name}_{p.stem.replace('.', '_')}" for p in paths[: args.scans]]
    paths = paths[: args.scans]
    ours, measured, theirs = [], [], []
    for round_ in range(args.rounds):
        out = Path(scratch, f"npy{round_}")
        out.mkdir()
        theirs.append(len(paths) / timed(published, paths, out)[0])
        store, full = Path(scratch, f"{round_}.hdf5"), Path(scratch, f"{round_}sigma.hdf5")
        summary = prepare(source / "scans", store, scans=names, progress=False)
        ours.append(len(paths) / summary.seconds)
        with_sigma = prepare(source / "scans", full, scans=names, sigma=True, progress=False)
        measured.append(len(paths) / with_sigma.seconds)
        assert content(store) == content(full)
    check_alike(paths, store, out)
    both = prepare(
        source / "scans", Path(scratch, "2.hdf5x"), scans=names, workers=2, progress=False
    )
    vertices = [row["num_source_points"] for row in ScanStore(store).manifest()]
    size = [store.stat().st_size, sum(p.stat().st_size for p in out.iterdir())]
    stages = summary.counts.timings
    busy = sum(stages.values())
    return {
        "scans": len(paths),
        "vertices a scan": round(median(vertices)),
        "published, scans a second and core": round(median(theirs), 2),
        "ours, scans a second and core": round(median(ours), 2),
        "ours with sigma": round(median(measured), 2),
        "ours to published": round(median(ours) / median(theirs), 2),
        "ours to ours with sigma": round(median(ours) / median(measured), 2),
        "two workers, scans a second": round(len(paths) / both.seconds, 2),
        "stages": {name: f"{seconds / busy:.0%}" for name, seconds in stages.items()},
        "MB a scan": [round(s / len(paths) / 1e6, 1) for s in size],
        "content of points and normals": content(store)[:16],
    }


if __name__ == "__main__":
    main()
