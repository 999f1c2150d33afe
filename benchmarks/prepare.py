"""Scans a second and core of ``prepare``, against the published protocol written plainly.

    python benchmarks/prepare.py [--scans 12] [--rounds 3] [--source FOLDER] [--json FILE]

The opponent (IGR, code/preprocess/dfaust.py re-typed): trimesh loads the mesh, samples 250 000
points with the normals of their faces, subtracts their mean, saves one float64 array [n,6]. It
measures no sigma and no checksum, and cannot resume. Both read the same raw scans on one core, in
turns; without --source they are scans of synthetic people by the virtual scanner.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import trimesh

from shapespace.data.formats.readers import READERS
from shapespace.data.prepare.run import prepare
from shapespace.data.store.store import ScanStore
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, help="folder of raw scans in the D-FAUST layout")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        source = args.source or Path(scratch, "people")
        if args.source is None:
            write_dataset(source, SUBJECTS[: max(args.scans // 12, 1)], workers=2)
        paths = sorted(p for p in (source / "scans").rglob("*") if p.suffix in READERS)
        names = [f"{p.parent.parent.name}_{p.stem.replace('.', '_')}" for p in paths[: args.scans]]
        paths = paths[: args.scans]
        ours, theirs, alone, stages = [], [], [], {}
        for round_ in range(args.rounds):
            out = Path(scratch, f"npy{round_}")
            out.mkdir()
            start = time.perf_counter()
            published(paths, out)
            theirs.append(len(paths) / (time.perf_counter() - start))
            store = Path(scratch, f"{round_}.hdf5")
            summary = prepare(source / "scans", store, scans=names, progress=False)
            ours.append(len(paths) / summary.seconds)
            stages = summary.counts.timings
            busy = sum(stages.values()) - stages["sigma"]
            alone.append(len(paths) / (summary.seconds - stages["sigma"]))
        check_alike(paths, store, out)
        both = prepare(
            source / "scans", Path(scratch, "2.hdf5x"), scans=names, workers=2, progress=False
        )
        vertices = [row["num_source_points"] for row in ScanStore(store).manifest()]
        size = [store.stat().st_size, sum(p.stat().st_size for p in out.iterdir())]
    busy = sum(stages.values())
    result = {
        "scans": len(paths),
        "vertices a scan": round(median(vertices)),
        "published, scans a second and core": round(median(theirs), 2),
        "ours, scans a second and core": round(median(ours), 2),
        "ours without sigma": round(median(alone), 2),
        "ours to published": round(median(ours) / median(theirs), 2),
        "without sigma to published": round(median(alone) / median(theirs), 2),
        "two workers, scans a second": round(len(paths) / both.seconds, 2),
        "stages": {name: f"{seconds / busy:.0%}" for name, seconds in stages.items()},
        "MB a scan": [round(s / len(paths) / 1e6, 1) for s in size],
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
