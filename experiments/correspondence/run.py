"""Does a mesh that is carried through a space know which point is which?

    python experiments/correspondence/run.py DATA CHECKPOINT --out OUT [--pairs 8] [--icp]

DATA is a folder in the D-FAUST layout with registrations that share their vertices, CHECKPOINT a
space trained on some of them. Pairs of training frames: of one person in one motion, of one person
in two motions, of two people in one motion; and, with --unseen, from a training frame to registered
frames that were not trained on, whose codes are fitted. Each registered vertex of the first frame
is attached to the mesh of the first code, carried to the second code, and compared with the same
vertex of the second frame. Beside it nearest points and, with --icp, non-rigid ICP of trimesh.
Writes OUT/results.csv and prints a table in millimetres.
"""

import argparse
import csv
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import trimesh

from shapespace.config.options import WalkOptions
from shapespace.data.sources import find_sources
from shapespace.evaluation.correspondence.errors import correspondence_error, nearest_point_error
from shapespace.geometry.attachment import attach
from shapespace.reconstruction.inputs import prepare_for
from shapespace.reconstruction.walks.carried import carried_walk
from shapespace.reconstruction.walks.interpolate import planned
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

COLUMNS = ("mean", "median", "most", "near", "fair")
MILLIMETRES = ("mean", "median", "most")


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/correspondence"))
    parser.add_argument("--pairs", type=int, default=8, help="of each kind")
    parser.add_argument("--steps", type=int, default=5, help="shapes of a walk")
    parser.add_argument("--resolution", type=int, default=96)
    parser.add_argument("--path", default="straight", choices=["straight", "training", "best"])
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--icp", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def kind_of(first, last):
    """The kind of a pair of frames; None for those that are not measured."""
    person = first["subject"] == last["subject"]
    motion = first["sequence"] == last["sequence"]
    if person:
        return "one person, one motion" if motion else "one person, two motions"
    return "two people, one motion" if motion else None


def pairs_of(rows, names, count, unseen, rng):
    """At most ``count`` pairs of each kind, in random order."""
    trained = [row for row in rows if row["name"] in names]
    found = {}
    for first, last in combinations(trained, 2):
        found.setdefault(kind_of(first, last), []).append((first, last))
    found.pop(None, None)
    if unseen:
        others = [row for row in rows if row["name"] not in names]
        found["to an unseen frame"] = [
            (trained[rng.integers(len(trained))], other) for other in others
        ]
    return {
        kind: [pairs[row] for row in rng.permutation(len(pairs))[:count]]
        for kind, pairs in found.items()
    }


def carried(space, first, last, truth, given):
    """Where the vertices of the first frame are carried, and facts of the carried mesh."""
    scans = [None, None]
    name = last["name"]
    if name not in space.names:
        (source,) = [s for s in find_sources(last["file"]) if s.name == name]
        scans[1] = prepare_for(space, source, "m", given.seed)
    walk = planned(space, (first["name"], name), scans, WalkOptions(given.steps, path=given.path))
    code = walk.points[0].code
    mesh = extract_mesh(space.decoder, code, given.resolution, space.extent, largest_only=False)
    found = carried_walk(space, walk, mesh)
    places = attach(truth, found.mesh(0)).on(found.vertices, found.faces)
    facts = {
        "off_mm": 1000 * max(found.distance),
        "flipped": max(found.flipped),
        "through": len(walk.legs[0].through),
    }
    return places[-1], facts


def row_of(kind, first, last, method, error, seconds, **facts):
    numbers = {
        name: getattr(error, name) * (1000 if name in MILLIMETRES else 1) for name in COLUMNS
    }
    return {
        "kind": kind,
        "first": first["name"],
        "last": last["name"],
        "method": method,
        **{name: f"{value:.4g}" for name, value in numbers.items()},
        "seconds": f"{seconds:.1f}",
        **{name: f"{value:.3g}" for name, value in facts.items()},
    }


def measured(space, kind, first, last, given):
    """The rows of one pair."""
    start, end = bodies.registration(first), bodies.registration(last)
    points, true = np.array(start.vertices, np.float64), np.array(end.vertices, np.float64)
    begin = time.perf_counter()
    found, facts = carried(space, first, last, points, given)
    spent = time.perf_counter() - begin
    error = correspondence_error(found, true)
    rows = [row_of(kind, first, last, "carried", error, spent, **facts)]
    rows.append(row_of(kind, first, last, "nearest points", nearest_point_error(points, end), 0.0))
    if given.icp:
        begin = time.perf_counter()
        found = np.asarray(trimesh.registration.nricp_amberg(start, end, use_faces=True))
        spent = time.perf_counter() - begin
        error = correspondence_error(found, true)
        rows.append(row_of(kind, first, last, "non-rigid ICP", error, spent))
    return rows


def table(rows):
    """The medians over the pairs of each kind and method, as lines of Markdown."""
    groups = {}
    for row in rows:
        groups.setdefault((row["kind"], row["method"]), []).append(row)
    yield "| pairs | method | number | mean | median | 95 % | < 10 mm | < 50 mm |"
    yield "|---|---|---|---|---|---|---|---|"
    for (kind, method), members in groups.items():
        numbers = [np.median([float(row[name]) for row in members]) for name in COLUMNS]
        lengths = " | ".join(f"{value:.1f}" for value in numbers[:3])
        shares = " | ".join(f"{100 * value:.0f} %" for value in numbers[3:])
        yield f"| {kind} | {method} | {len(members)} | {lengths} | {shares} |"


def main():
    given = options()
    given.out.mkdir(parents=True, exist_ok=True)
    space = TrainedSpace.load(given.checkpoint)
    frames = bodies.read_frames(given.data)
    rng = np.random.default_rng(given.seed)
    pairs = pairs_of(frames, set(space.names), given.pairs, given.unseen, rng)
    rows = []
    for kind, members in pairs.items():
        for first, last in members:
            rows += measured(space, kind, first, last, given)
            names = dict.fromkeys(name for row in rows for name in row)
            with (given.out / "results.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(names))
                writer.writeheader()
                writer.writerows(rows)
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
