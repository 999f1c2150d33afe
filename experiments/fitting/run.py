"""Scans that were cut, soiled, turned and moved: how well are they fitted, and does the fit know?

    python experiments/fitting/run.py DATA CHECKPOINT --out OUT [--scans 20] [--placements 20]

DATA is the folder of experiments/real_bodies, CHECKPOINT the space that it trained. Errors are
exact distances of a reconstruction's vertices to the registration of the scan's frame. Writes
OUT/*.csv, OUT/reliability.png and OUT/facts_PARTS.json.
"""

import argparse
import csv
import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch

from shapespace.data.sources import find_sources
from shapespace.fitting import Search
from shapespace.fitting.starts import nearest_starts
from shapespace.fitting.terms import as_batch
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.inputs import prepare_for
from shapespace.space import TrainedSpace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

matplotlib.use("Agg")
CUTS = {"upper half": (1, 1), "lower half": (1, -1), "one side": (0, 1), "other side": (0, -1)}
RESOLUTION, NUM_POINTS = 96, 8000
BINS = np.array([0, 1, 2, 3, 5, 8, 12, 18, 27, 40, 1000.0])


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/fitting"))
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--skip", type=int, default=0, help="scans that are left out first")
    parser.add_argument("--placements", type=int, default=20)
    parser.add_argument("--parts", nargs="+", default=["holes", "dirt", "placement"])
    return parser.parse_args()


class Bench:
    """A space, its raw scans and their true surfaces."""

    def __init__(self, args):
        self.space = TrainedSpace.load(args.checkpoint)
        self.codes = self.space.codes.table.weight
        rows = [row for row in bodies.read_frames(args.data) if row["scan"]]
        rows = rows[args.skip :][: args.scans]
        sources = find_sources(args.data / "scans", [row["name"] for row in rows])
        self.scans = [prepare_for(self.space, source, "m", 0) for source in sources]
        truth = {row["name"]: row for row in rows}
        self.truth = [bodies.registration(truth[scan.name]) for scan in self.scans]

    def fitted(self, scan, search=None):
        """The fit of a scan, the vertices of its mesh in the scan's frame, and their deviations."""
        result = self.space.fit([scan], NUM_POINTS, search)
        mesh = self.space.mesh(result.codes[0], scan.frame, RESOLUTION, pose=result.poses)
        return result, mesh, self.space.deviation(result, 0, mesh, scan.frame)

    def nearest_training_shape(self, scan):
        """The mesh of the training code whose field is smallest at the points, placed as it is."""
        points = torch.from_numpy(scan.points[:NUM_POINTS])
        none = torch.eye(3)[None]
        row = int(nearest_starts(self.space.decoder, points, codes=self.codes, turns=none)[0, 1])
        search = Search(independent=1e-6, starts=1)
        only = replace(scan, name="nearest")
        batch = as_batch([only], NUM_POINTS)
        pose = search(self.space.decoder, batch, self.codes[[row]]).poses
        return self.space.mesh(self.codes[row], scan.frame, RESOLUTION, pose=pose)


def part_of(scan, keep):
    """The scan without the points that are not kept."""
    normals = None if scan.normals is None else scan.normals[keep]
    return replace(scan, points=scan.points[keep], normals=normals, sigma=scan.sigma[keep])


def millimetres(vertices, truth):
    return 1000 * point_to_mesh(np.asarray(vertices), truth)


def holes(bench, out):
    """Half of each scan cut away, four ways: errors on both halves, and are they foreseen?"""
    rows, pairs = [], []
    for scan, truth in zip(bench.scans, bench.truth, strict=True):
        _, whole, _ = bench.fitted(scan)
        for title, (axis, side) in CUTS.items():
            half = part_of(scan, side * scan.points[:, axis] > 0)
            _, mesh, deviation = bench.fitted(half)
            near = bench.nearest_training_shape(half)
            hidden = hidden_part(mesh, scan, axis, side)
            error, twice = millimetres(mesh.vertices, truth), 2000 * deviation
            clean = millimetres(whole.vertices, truth)[~hidden_part(whole, scan, axis, side)]
            base = millimetres(near.vertices, truth)[hidden_part(near, scan, axis, side)]
            pairs.append(np.stack([error, twice / 2, hidden], 1))
            rows.append(
                {
                    "scan": scan.name,
                    "cut": title,
                    "clean_visible_mm": np.median(clean),
                    "visible_mm": np.median(error[~hidden]),
                    "hidden_mm": np.median(error[hidden]),
                    "nearest_hidden_mm": np.median(base),
                    "visible_covered": np.mean(error[~hidden] <= twice[~hidden]),
                    "hidden_covered": np.mean(error[hidden] <= twice[hidden]),
                }
            )
            print(*rows[-1].values(), flush=True)
    write(rows, out / "holes.csv")
    reliability(np.concatenate(pairs), out / "reliability.png")
    share = np.array([row["visible_mm"] / row["clean_visible_mm"] for row in rows])
    return {
        "half cut away, error of the visible half over the clean fit": spread_of(share),
        "hidden half, mm": spread_of([row["hidden_mm"] for row in rows]),
        "hidden half of the nearest training shape, mm": spread_of(
            [row["nearest_hidden_mm"] for row in rows]
        ),
        "hidden vertices within 2 deviations": spread_of([row["hidden_covered"] for row in rows]),
        "visible vertices within 2 deviations": spread_of([row["visible_covered"] for row in rows]),
    }


def hidden_part(mesh, scan, axis, side):
    return side * scan.frame.to_store(np.asarray(mesh.vertices))[:, axis] <= 0


def dirt(bench, out):
    """A tenth of the points anywhere in the scan's box; 5 mm of noise on all."""
    rng, rows = np.random.default_rng(0), []
    for scan, truth in zip(bench.scans, bench.truth, strict=True):
        low, high = scan.points.min(0), scan.points.max(0)
        anywhere = rng.uniform(low, high, scan.points.shape).astype(np.float32)
        tenth = rng.random(len(scan.points))[:, None] < 0.1
        noise = rng.normal(0, 0.005, scan.points.shape).astype(np.float32)
        kinds = {
            "clean": scan,
            "outliers": replace(scan, points=np.where(tenth, anywhere, scan.points)),
            "noise": replace(scan, points=scan.points + noise),
        }
        row = {"scan": scan.name}
        for title, each in kinds.items():
            row[title] = np.median(millimetres(bench.fitted(each)[1].vertices, truth))
        rows.append(row)
        print(*row.values(), flush=True)
    write(rows, out / "dirt.csv")
    return {
        f"{title} over clean": spread_of([row[title] / row["clean"] for row in rows])
        for title in ("outliers", "noise")
    }


def placement(bench, out, num):
    """Any yaw, tilts to 20 degrees, moved by metres; fitted as well as where it was?"""
    rng, rows = np.random.default_rng(0), []
    for scan in bench.scans:
        batch = as_batch([scan], NUM_POINTS)
        clean = Search()(bench.space.decoder, batch, bench.codes).distances.median()
        for _ in range(num):
            start = time.process_time()
            rotation = turn(rng).float()
            moved = replace(
                batch,
                points=batch.points @ rotation.mT,
                normals=None if batch.normals is None else batch.normals @ rotation.mT,
            )
            found = Search(freedom="rigid")(bench.space.decoder, moved, bench.codes)
            share = float(found.distances.median() / clean)
            seconds = time.process_time() - start
            rows.append({"scan": scan.name, "over_clean": share, "seconds": seconds})
        shares = [row["over_clean"] for row in rows[-num:]]
        print(scan.name, np.round(shares, 2).tolist(), flush=True)
    write(rows, out / "placement.csv")
    shares = np.array([row["over_clean"] for row in rows])
    return {
        "placements": len(rows),
        "fitted within 10 % of the clean fit": float((shares <= 1.1).mean()),
        "within twice": float((shares <= 2).mean()),
        "seconds": spread_of([row["seconds"] for row in rows]),
    }


def turn(rng):
    """A tilt of up to 20 degrees after any yaw; scans are centred when read, wherever they lie."""
    yaw, tilt, way = rng.uniform(0, 2 * np.pi), rng.uniform(0, np.radians(20)), rng.uniform(0, 7)
    vectors = [[0, yaw, 0], [tilt * np.cos(way), 0, tilt * np.sin(way)]]
    first, second = (
        torch.linalg.matrix_exp(torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]]).double())
        for a, b, c in vectors
    )
    return second @ first


def spread_of(values):
    low, median, high = np.percentile(values, [5, 50, 95])
    return {"median": round(median, 3), "5%": round(low, 3), "95%": round(high, 3)}


def write(rows, path):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})


def reliability(pairs, path):
    """Actual error against the predicted deviation, on seen and on hidden surface."""
    figure, axes = plt.subplots(figsize=(4.5, 4.2))
    for title, hidden, colour in (("visible", 0, "tab:blue"), ("hidden", 1, "tab:orange")):
        error, deviation, _ = pairs[pairs[:, 2] == hidden].T
        place = np.digitize(deviation, BINS)
        kept = [k for k in np.unique(place) if (place == k).sum() > 200]
        middle = [deviation[place == k].mean() for k in kept]
        rms = [np.sqrt(np.mean(error[place == k] ** 2)) for k in kept]
        median = [np.median(error[place == k]) for k in kept]
        axes.plot(middle, rms, "o-", color=colour, label=f"{title}, root mean square")
        axes.plot(middle, median, "o--", color=colour, alpha=0.6, label=f"{title}, median")
    axes.plot([1, 40], [1, 40], color="grey", lw=1)
    axes.set(xscale="log", yscale="log", xlabel="predicted deviation, mm", ylabel="error, mm")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    bench, facts = Bench(args), {}
    works = {"holes": holes, "dirt": dirt, "placement": partial(placement, num=args.placements)}
    for part in args.parts:
        facts |= works[part](bench, args.out)
        (args.out / f"facts_{'_'.join(args.parts)}.json").write_text(json.dumps(facts, indent=1))
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
