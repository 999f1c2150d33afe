"""Shapes between shapes: are they people, and near what lies between in truth?

    python experiments/between/run.py DATA CHECKPOINT --out OUT [--pairs 12] [--steps 9]

DATA is the folder of experiments/real_bodies, CHECKPOINT a space trained on its registrations.
Three kinds of walks between training codes: first to last frame of a sequence, two people in one
motion, any two frames. Writes OUT/results.csv, OUT/walks.png.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from shapespace.geometry.components import components, largest_component
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.walks.path import Waypoint, interpolate
from shapespace.rendering.meshes import Figure, render_grid, save_image
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/between"))
    parser.add_argument("--pairs", type=int, default=12, help="of each kind")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--resolution", type=int, default=112)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def pairs_of(rows, count, rng):
    """``count`` pairs of training frames of each kind."""
    sequences = {}
    for row in rows:
        sequences.setdefault(row["sequence_name"], []).append(row)
    long = [frames for frames in sequences.values() if len(frames) >= 3]
    motions = {}
    for frames in long:
        motions.setdefault(frames[0]["sequence"], []).append(frames[0])
    crowds = [people for people in motions.values() if len(people) >= 2]
    pick = rng.permutation
    within = [long[i] for i in pick(len(long))[:count]]
    return {
        "frames of a sequence": [(frames[0], frames[-1]) for frames in within],
        "two people, one motion": [
            tuple(crowd[j] for j in pick(len(crowd))[:2])
            for crowd in (crowds[rng.integers(len(crowds))] for _ in range(count))
        ],
        "any two frames": [tuple(rows[j] for j in pick(len(rows))[:2]) for _ in range(count)],
    }


def walk(space, first, last, steps, resolution):
    """All meshes of a walk, every component kept, in the frame of the space."""
    stops = [Waypoint(space.code(row["name"]), space.frame(row["name"])) for row in (first, last)]
    codes = [stop.code for stop in interpolate(stops, steps)]
    return [
        extract_mesh(space.decoder, code, resolution, space.extent, largest_only=False)
        for code in codes
    ]


def facts_of(meshes, truths):
    """Of one walk; distances in millimetres."""
    people = [largest_component(mesh) for mesh in meshes]
    volumes = np.array([mesh.volume for mesh in people])
    areas = np.array([mesh.area for mesh in people])
    between = np.array([nearest_truth(mesh, truths) for mesh in people[1:-1]])
    ends = np.array([nearest_truth(mesh, truths) for mesh in (people[0], people[-1])])
    return {
        "one_component": float(np.mean([components(mesh)[0] == 1 for mesh in meshes])),
        "watertight": float(np.mean([mesh.is_watertight for mesh in people])),
        "genus_0": float(np.mean([mesh.euler_number == 2 for mesh in people])),
        "volume_back": backwards(volumes),
        "area_back": backwards(areas),
        "ends_mm": ends.mean(),
        "between_mm": between.mean(),
        "worst_between_mm": between.max(),
    }


def backwards(values):
    """Way against the direction from first to last, as a share of their mean; 0 if monotone."""
    steps = np.diff(values) * np.sign(values[-1] - values[0])
    return float(-np.minimum(steps, 0).sum() / values.mean())


def nearest_truth(mesh, truths):
    """Mean distance of the vertices to the nearest of some registrations, in millimetres."""
    return 1000 * min(point_to_mesh(mesh.vertices, truth).mean() for truth in truths)


def centred(space, row):
    """A registration in the frame of the space."""
    mesh = bodies.registration(row)
    mesh.vertices = space.frame(row["name"]).to_store(np.asarray(mesh.vertices))
    return mesh


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    space = TrainedSpace.load(args.checkpoint, "cpu")
    rows = [row for row in bodies.read_frames(args.data) if row["name"] in set(space.names)]
    rng = np.random.default_rng(args.seed)
    results, shown = [], []
    for kind, pairs in pairs_of(rows, args.pairs, rng).items():
        for first, last in pairs:
            meshes = walk(space, first, last, args.steps, args.resolution)
            sequence = {first["sequence_name"], last["sequence_name"]}
            truths = [centred(space, row) for row in rows if row["sequence_name"] in sequence]
            names = {"kind": kind, "first": first["name"], "last": last["name"]}
            results.append({**names, **facts_of(meshes, truths)})
            print(*results[-1].values(), flush=True)
            if (first, last) == pairs[0]:
                shown.append([Figure(largest_component(mesh)) for mesh in meshes])
    save_image(render_grid(shown, height=230), args.out / "walks.png")
    bodies.write_rows(results, args.out / "results.csv")
    for kind in dict.fromkeys(row["kind"] for row in results):
        chosen = [row for row in results if row["kind"] == kind]
        for column in list(results[0])[3:]:
            low, middle, high = np.percentile([row[column] for row in chosen], [5, 50, 95])
            mean = np.mean([row[column] for row in chosen])
            print(
                f"{kind}, {column}: median {middle:.4g} ({low:.4g} to {high:.4g}), mean {mean:.4g}"
            )


if __name__ == "__main__":
    main()
