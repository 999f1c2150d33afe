"""Raw scans of people and motions that were not trained on: the code alone, with detail, Poisson.

    python experiments/unseen_scans/run.py DATA --out OUT [--folds 0 1 2] [--scans 4]

DATA is a folder in the D-FAUST layout with a raw scan a sequence. A fold leaves two people and two
motions out of the training. Errors are exact distances in mm, both ways, half of each. A place is
seen if it lies within 5 mm of the surface of the scan. Poisson is what a person with a scan does
today: Open3D, raw vertices, normals of the file, depths 8 and 9, the largest part. Writes
OUT/results.csv, and a picture of each scan.
"""

import argparse
import pickle
import sys
import time
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import KDTree

from shapespace.baselines.poisson import screened_poisson
from shapespace.config.options import FitOptions
from shapespace.data.formats.readers import read_raw
from shapespace.data.sources import find_sources
from shapespace.elastic.limbs import limbs_of_mesh
from shapespace.geometry.components import largest_component
from shapespace.geometry.proximity import nearest_on_mesh, point_to_mesh
from shapespace.reconstruction.detail import detailed, detailed_mesh, facts_of_detail
from shapespace.reconstruction.inputs import prepare_for
from shapespace.reconstruction.method import fit_scans
from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image
from shapespace.space import TrainedSpace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

FOLDS = (
    (("60005", "60010"), ("jumping_jacks", "hips")),
    (("60001", "60006"), ("one_leg_jump", "shake_arms")),
    (("60003", "60008"), ("chicken_wings", "running_on_spot")),
    (("60002", "60007"), ("knees", "punching")),
    (("60004", "60009"), ("shake_hips", "shake_shoulders")),
)
"""People and motions that are left out."""
SEEN = 0.005
HAND, FOOT, HEAD = 0.19, 0.24, 0.24
"""Distance along the skin from the tip of a hand, a foot or the head to its end."""
NUM_SAMPLES = 30_000
RESOLUTION = 224


def groups_of(rows, fold):
    """Frames to train on, every other one, and raw scans by what the training saw of them."""
    people, motions = FOLDS[fold]
    found = {"train": [], "new person": [], "new motion": []}
    for row in rows:
        person, motion = row["subject"] in people, row["sequence"] in motions
        if not person and not motion:
            found["train"].append(row)
        if row["scan"] and person != motion:
            found["new person" if person else "new motion"].append(row)
    found["train"] = found["train"][::2]
    return found


def extremities(row):
    """Vertices of hands, feet and head, by their distance along the skin from the tips.

    The head is the tip nearest to all others, and of the rest the two lowest are feet.
    """
    mesh = bodies.registration(row)
    limbs = limbs_of_mesh(mesh)
    assert len(limbs.points) == len(mesh.vertices)
    head, *tips = sorted(range(len(limbs.tips)), key=lambda k: limbs.distance[k, limbs.tips].sum())
    tips.sort(key=lambda k: limbs.points[limbs.tips[k], 1])
    reach = {"hands": (tips[2:], HAND), "feet": (tips[:2], FOOT), "head": ([head], HEAD)}
    return {name: limbs.distance[ends].min(0) < most for name, (ends, most) in reach.items()}


def parts_of(frames, row):
    """Hands, feet and head of a frame: the same vertices in all, found where no arm is raised."""
    return extremities(next(first for first in frames if first["file"] == row["file"]))


def errors(mesh, row, scan, parts):
    """Mean distance in mm, both ways, of the whole and of parts of the true surface."""
    truth = bodies.registration(row)
    own = trimesh.sample.sample_surface(mesh, NUM_SAMPLES, seed=0)[0]
    true, face = trimesh.sample.sample_surface(truth, NUM_SAMPLES, seed=1)[:2]
    to, place = nearest_on_mesh(own, truth)
    back = point_to_mesh(true, mesh)
    seen = [point_to_mesh(points, scan) <= SEEN for points in (place, true)]
    masks = {
        "whole": [np.ones(NUM_SAMPLES, bool)] * 2,
        "seen": seen,
        "not seen": [~m for m in seen],
    }
    nearest = KDTree(truth.vertices).query(place)[1]
    for name, vertices in parts.items():
        masks[name] = [vertices[nearest], vertices[truth.faces[face]].all(1)]
    both = {
        name: 500 * (to[here].mean() + back[there].mean()) if here.any() and there.any() else np.nan
        for name, (here, there) in masks.items()
    }
    facts = {"volume": mesh.volume / truth.volume, "watertight": int(mesh.is_watertight)}
    return both | facts


def poisson(scan, depth):
    mesh = screened_poisson(scan.vertices, scan.normals, depth=depth)
    return largest_component(mesh)


def draw(row, scan, meshes, path):
    truth = bodies.registration(row)
    figures = [Figure(scan, GREY, "scan"), Figure(truth, label="truth")]
    for name, mesh in meshes.items():
        error = point_to_mesh(np.asarray(mesh.vertices), truth)
        label = f"{name}, 0 to 10 mm"
        figures.append(Figure(mesh, label=label, vertex_colors=colour_map(error, 0, 0.01)))
    save_image(render_grid([figures], height=420), path)


def ours(space, source):
    """The mesh of the fitted code and that with detail, CPU seconds of each, and the detail."""
    start = time.process_time()
    scan = prepare_for(space, source, unit="m", seed=0, num_points=20_000)
    fitted = fit_scans(FitOptions(), space, [scan])
    code, pose = fitted.codes[0], fitted.poses
    common = time.process_time() - start
    plain = space.mesh(code, scan.frame, resolution=RESOLUTION, pose=pose)
    of_code = time.process_time() - start
    start = time.process_time()
    detail = detailed(space, code, pose, scan, raw=source.load()[0])
    mesh = detailed_mesh(detail, scan, pose, resolution=RESOLUTION)
    of_detail = common + time.process_time() - start
    return {"code": (plain, of_code), "detail": (mesh, of_detail)}, (detail, scan, pose, fitted)


def measured(row, kind, fold, args, space, parts):
    """Rows of results of one scan."""
    scan, raw = bodies.raw_scan(row, args.data), read_raw(args.data / row["scan"])
    (source,) = find_sources(args.data / "scans", [row["name"]])
    meshes, found = ours(space, source)
    for depth in (8, 9):
        start = time.process_time()
        meshes[f"poisson {depth}"] = poisson(raw, depth), time.process_time() - start
    facts = facts_of_detail(found[0])
    keep(args.out / "kept" / f"{fold}_{row['name']}", meshes["detail"][0], found)
    rows = []
    for name, (mesh, seconds) in meshes.items():
        about = {"fold": fold, "kind": kind, "scan": row["name"], "method": name}
        about |= errors(mesh, row, scan, parts)
        about |= {"parts": mesh.body_count, "cpu_seconds": seconds}
        judged = {key: facts[key] for key in ("misfit", "unseen", "confidence", "stretch")}
        rows.append(about | judged)
        print(*(f"{v:.3g}" if isinstance(v, float) else v for v in rows[-1].values()), flush=True)
    shown = {name: mesh for name, (mesh, _) in meshes.items() if name != "poisson 8"}
    draw(row, scan, shown, args.out / f"{row['name']}.png")
    return rows


def keep(path, mesh, found):
    """Write the mesh and what error bars can be made of."""
    detail, scan, pose, fitted = found
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".pkl").open("wb") as file:
        pickle.dump((mesh, detail, scan, pose, fitted), file)


COLUMNS = ("whole", "seen", "not seen", "hands", "feet", "volume", "parts", "cpu_seconds")


def print_table(results):
    """Medians over the scans, and in how many Poisson's better depth is farther off."""
    for kind in dict.fromkeys(row["kind"] for row in results):
        mine = [row for row in results if row["kind"] == kind]
        best = {
            (row["scan"], column): min(
                float(other[column])
                for other in mine
                if other["scan"] == row["scan"] and other["method"].startswith("poisson")
            )
            for row in mine
            for column in COLUMNS[:3]
        }
        print(f"\n| {kind} | {' | '.join(COLUMNS)} | won: whole, seen, not seen |")
        print("|---" * (len(COLUMNS) + 2) + "|")
        for method in dict.fromkeys(row["method"] for row in mine):
            rows = [row for row in mine if row["method"] == method]
            cells = [f"{np.nanmedian([float(row[c]) for row in rows]):.2f}" for c in COLUMNS]
            won = [sum(float(row[c]) < best[row["scan"], c] for row in rows) for c in COLUMNS[:3]]
            print(f"| {method} | {' | '.join(cells)} | {won} of {len(rows)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/unseen_scans"))
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--scans", type=int, default=8, help="of each kind and fold")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    frames = bodies.read_frames(args.data)
    results = []
    for fold in args.folds:
        groups = groups_of(frames, fold)
        store = bodies.stored(args.data, args.out / f"train{fold}.hdf5", groups.pop("train"))
        options = ["--config=bodies-cpu", bodies.MIXED, "--preview.every=1000000"]
        checkpoint, _ = bodies.trained(store, args.out / f"run{fold}", fold, *options)
        space = TrainedSpace.load(checkpoint, "cpu")
        # One of each kind in turn, so that a run that is cut off has both.
        turns = [chosen[: args.scans] for chosen in groups.values()]
        for pair in zip(*turns, strict=False):
            for kind, row in zip(groups, pair, strict=True):
                parts = parts_of(frames, row)
                results += measured(row, kind, fold, args, space, parts)
                bodies.write_rows(results, args.out / "results.csv")
    print_table(results)


if __name__ == "__main__":
    main()
