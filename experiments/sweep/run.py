"""Noise, outliers and holes, from none to too many: when does a fit break?

    python experiments/sweep/run.py DATA CHECKPOINT --out OUT [--scans 8]

DATA is the folder of experiments/real_bodies, CHECKPOINT a space of experiments/against_published.
Raw scans of sequences and people that it has not seen are soiled further, fitted as by ``shapespace
reconstruct`` and measured against the registration: median exact distance of the vertices. Writes
OUT/results.csv and OUT/sweep.png.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from shapespace.data.sources import find_sources
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.inputs import prepare_for
from shapespace.space import TrainedSpace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

matplotlib.use("Agg")
LEVELS = {
    "noise, mm": (2, 5, 10, 20, 40),
    "outliers, %": (5, 10, 20, 40, 60),
    "points cut away, %": (25, 50, 75, 90),
    "points kept of the scan": (4000, 1000, 250, 100),
}
RESOLUTION, NUM_POINTS = 96, 8000


def noisy(scan, level, rng):
    """``level`` millimetres of Gaussian noise on each coordinate."""
    noise = rng.normal(0, level / 1000, scan.points.shape).astype(np.float32)
    return replace(scan, points=scan.points + noise)


def dirty(scan, level, rng):
    """``level`` percent of the points anywhere in the box of the scan."""
    low, high = scan.points.min(0), scan.points.max(0)
    anywhere = rng.uniform(low, high, scan.points.shape).astype(np.float32)
    chosen = rng.random(len(scan.points))[:, None] < level / 100
    return replace(scan, points=np.where(chosen, anywhere, scan.points))


def cut(scan, level, rng):
    """Without the ``level`` percent of the points that lie farthest one way, any way."""
    way = rng.normal(size=3)
    along = scan.points @ (way / np.linalg.norm(way))
    return part(scan, along <= np.quantile(along, 1 - level / 100))


def thinned(scan, level, rng):
    """``level`` points of the scan."""
    return part(scan, rng.permutation(len(scan.points))[:level])


SPOIL = dict(zip(LEVELS, (noisy, dirty, cut, thinned), strict=True))


def part(scan, keep):
    normals = None if scan.normals is None else scan.normals[keep]
    return replace(scan, points=scan.points[keep], normals=normals, sigma=scan.sigma[keep])


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--scans", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def measured(space, scan, truth):
    """Median distance in millimetres of the vertices of a fit; infinite without a surface."""
    found = space.fit([scan], NUM_POINTS)
    mesh = space.mesh(found.codes[0], scan.frame, RESOLUTION, pose=found.poses)
    if not len(mesh.vertices):
        return np.inf
    return 1000 * float(np.median(point_to_mesh(np.asarray(mesh.vertices), truth)))


def draw(rows, path):
    """Median and each scan over the level, a panel a kind."""
    figure, panels = plt.subplots(1, len(LEVELS), figsize=(14, 3.4), sharey=True)
    for panel, kind in zip(panels, LEVELS, strict=True):
        chosen = [row for row in rows if row["kind"] in (kind, "clean")]
        by_scan = defaultdict(list)
        for row in chosen:
            thin = kind.startswith("points kept")
            level = NUM_POINTS if thin and row["kind"] == "clean" else row["level"]
            by_scan[row["scan"]].append((level, row["mm"]))
        curves = np.array([sorted(curve) for curve in by_scan.values()])
        for curve in curves:
            panel.plot(*curve.T, color="0.8", linewidth=1)
        panel.plot(curves[0, :, 0], np.median(curves[..., 1], 0), "o-", color="#2b6cb0")
        panel.set(xlabel=kind, yscale="log")
        if kind.startswith("points kept"):
            panel.set_xscale("log")
            panel.invert_xaxis()
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("median error, mm")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    space = TrainedSpace.load(args.checkpoint, "cpu")
    groups = bodies.splits(bodies.read_frames(args.data))
    rows = (groups["unseen sequence"] + groups["unseen person"])[-args.scans :]
    truths = {row["name"]: bodies.registration(row) for row in rows}
    results = []
    for source in find_sources(args.data / "scans", list(truths)):
        scan, truth = prepare_for(space, source, "m", 0), truths[source.name]
        rng = np.random.default_rng(args.seed)
        results.append({"scan": scan.name, "kind": "clean", "level": 0})
        results[-1]["mm"] = measured(space, scan, truth)
        for kind, levels in LEVELS.items():
            for level in levels:
                error = measured(space, SPOIL[kind](scan, level, rng), truth)
                results.append({"scan": scan.name, "kind": kind, "level": level, "mm": error})
        print(
            scan.name,
            [round(row["mm"], 2) for row in results if row["scan"] == scan.name],
            flush=True,
        )
    bodies.write_rows(results, args.out / "results.csv")
    draw(results, args.out / "sweep.png")
    for kind, level in dict.fromkeys((row["kind"], row["level"]) for row in results):
        values = [r["mm"] for r in results if (r["kind"], r["level"]) == (kind, level)]
        low, middle, high = np.percentile(values, [5, 50, 95])
        print(f"{kind} {level}: {middle:.2f} ({low:.2f} to {high:.2f}) mm")


if __name__ == "__main__":
    main()
