"""Do limbs vanish between training codes? Walks in the spaces that run.py has trained.

    python experiments/detail/walks.py DATA --out OUT [--levers recipe "bending 0.003"] [--seeds 0]

Walks go in a straight line between training codes: between two motions of a person, and between
two people in one motion. Writes OUT/walks.csv, a row a walk, and OUT/walks_SEED.png, and prints
medians.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from shapespace.bending.meshed import bending
from shapespace.data.store.store import ScanStore
from shapespace.geometry.components import components
from shapespace.rendering.meshes import Figure, render_grid, save_image
from shapespace.surface.mesh import extract_mesh

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies
from detail.run import EXTENT, LEVERS, pool_of, space_of


def pairs_of(names, count, rng):
    """``count`` pairs of each kind."""
    parts = {name: name.split("_", 1) for name in names}
    motion = {name: rest.rsplit("_", 1)[0] for name, (_, rest) in parts.items()}
    kinds = {"one person, two motions": [], "two people, one motion": []}
    for one in names:
        for other in names:
            same = parts[one][0] == parts[other][0], motion[one] == motion[other]
            if one < other and same in ((True, False), (False, True)):
                kinds[list(kinds)[same[1]]].append((one, other))
    return {k: [v[row] for row in rng.permutation(len(v))[:count]] for k, v in kinds.items()}


def walk(space, first, last, shapes, resolution):
    """The meshes from code to code, all parts, and the bending energy of those between."""
    start, end = space.code(first), space.code(last)
    meshes, energies = [], []
    for share in np.linspace(0, 1, shapes):
        code = start + float(share) * (end - start)
        mesh = extract_mesh(space.decoder, code, resolution, EXTENT, largest_only=False)
        meshes.append(mesh)
        if 0 < share < 1:
            found = bending(space.decoder, code, end - start, extent=EXTENT, mesh=mesh, count=400)
            energies.append(found.energy)
    return meshes, energies


def facts_of(meshes, energies):
    """The worst of the shapes between the ends."""
    volumes = np.array([mesh.volume for mesh in meshes])
    line = np.linspace(volumes[0], volumes[-1], len(volumes))
    return {
        "parts": max(components(mesh)[0] for mesh in meshes[1:-1]),
        "volume off the line": float(np.abs(volumes / line - 1).max()),
        "bending": float(np.mean(energies)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/detail"))
    parser.add_argument("--levers", nargs="+", default=["recipe", "bending 0.003"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--pairs", type=int, default=4, help="of each kind")
    parser.add_argument("--shapes", type=int, default=6)
    parser.add_argument("--resolution", type=int, default=64)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        store = ScanStore(args.out / f"train{seed}.hdf5")
        pairs = pairs_of(store.names, args.pairs, np.random.default_rng(seed))
        shown = []
        for name in args.levers:
            state = dict(np.load(args.out / f"{name.replace(' ', '_')}_{seed}.npz"))
            pool = pool_of(store, store.names, LEVERS[name], seed)
            space = space_of(LEVERS[name], pool, state)
            steps = json.loads(str(state["facts"]))["steps"]
            for kind, members in pairs.items():
                for first, last in members:
                    found = walk(space, first, last, args.shapes, args.resolution)
                    about = {"lever": name, "seed": seed, "steps": steps, "kind": kind}
                    rows.append(about | {"first": first, "last": last} | facts_of(*found))
                    bodies.write_rows(rows, args.out / "walks.csv")
                    if (first, last) == members[0]:
                        shown.append([Figure(mesh, label=name) for mesh in found[0]])
        save_image(render_grid(shown, height=240), args.out / f"walks_{seed}.png")
    for name in args.levers:
        for kind in dict.fromkeys(row["kind"] for row in rows):
            mine = [row for row in rows if (row["lever"], row["kind"]) == (name, kind)]
            cells = [f"{np.median([row[c] for row in mine]):.3g}" for c in list(mine[0])[-3:]]
            print(f"| {name} | {kind} | {len(mine)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
