"""Half scans and dirty scans of people that were not trained on: the code, with detail, Poisson.

    python experiments/unseen_scans/partial.py DATA --out OUT [--fold 1] [--scans 3]

OUT is that of run.py, whose space is used. Each raw scan is taken as it is, without its back half,
with 5 % of its points replaced by clutter in its box, and with noise of 3 mm.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import run
import trimesh

from shapespace.data.sources import find_sources
from shapespace.geometry.components import largest_component
from shapespace.space import TrainedSpace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies


def spoiled(scan, how, rng):
    """Points and normals of a scan, spoiled."""
    points, normals = np.array(scan.vertices), np.array(scan.vertex_normals)
    if how == "half":
        front = normals[:, 2] > 0
        return points[front], normals[front]
    if how == "clutter":
        some = rng.permutation(len(points))[: len(points) // 20]
        points[some] = rng.uniform(points.min(0), points.max(0), (len(some), 3))
    if how == "noise":
        points += 0.003 * rng.normal(size=points.shape)
    return points, normals


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/unseen_scans"))
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--scans", type=int, default=3)
    args = parser.parse_args()
    frames = bodies.read_frames(args.data)
    space = TrainedSpace.load(args.out / f"run{args.fold}" / "last.ckpt", "cpu")
    results = []
    for row in run.groups_of(frames, args.fold)["new person"][: args.scans]:
        scan = bodies.raw_scan(row, args.data)
        for how in ("as it is", "half", "clutter", "noise"):
            points, normals = spoiled(scan, how, np.random.default_rng(0))
            file = args.out / "spoiled" / f"{row['name']}_{how.replace(' ', '_')}.ply"
            file.parent.mkdir(exist_ok=True)
            cloud = trimesh.Trimesh(points, vertex_normals=normals, process=False)
            cloud.export(file, vertex_normal=True)
            (source,) = find_sources(file)
            meshes, found = run.ours(space, source)
            mesh = run.screened_poisson(points, normals, depth=9)
            meshes["poisson 9"] = largest_component(mesh), 0.0
            for name, (mesh, _) in meshes.items():
                both = run.errors(mesh, row, scan, {})
                about = {"scan": row["name"], "how": how, "method": name}
                facts = run.facts_of_detail(found[0])
                results.append(about | both | {"confidence": facts["confidence"]})
                print(*results[-1].values(), flush=True)
                bodies.write_rows(results, args.out / "partial.csv")
    for how in dict.fromkeys(row["how"] for row in results):
        for method in dict.fromkeys(row["method"] for row in results):
            mine = [r for r in results if (r["how"], r["method"]) == (how, method)]
            cells = (
                f"{np.median([r[c] for r in mine]):.2f}" for c in ("whole", "seen", "not seen")
            )
            print(f"| {how} | {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
