"""Heads and hands of training frames by their own codes, beside the truth.

    python experiments/detail/closeups.py DATA --out OUT [--levers recipe "curved 1"] [--seed 0]

Writes OUT/closeups_SEED.png: a row a lever and the truth; of each frame the head, then a hand.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import trimesh

from shapespace.data.store.store import ScanStore
from shapespace.rendering.meshes import Figure, render_grid, save_image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies
from detail.run import LEVERS, pool_of, space_of
from unseen_scans.run import parts_of

REACH = {"head": 0.16, "hands": 0.11}
"""Half side of the box that is drawn."""


def boxes(row, parts):
    """The middle of the head and of one hand of a frame, and half the side of the box around."""
    vertices = np.asarray(bodies.registration(row).vertices)
    for name, reach in REACH.items():
        own = vertices[parts[name]]
        # Both hands are labelled: that of the larger x is taken.
        own = own[own[:, 0] >= np.median(own[:, 0])] if name == "hands" else own
        yield own.mean(0), reach


def cropped(mesh, middle, reach):
    inside = (np.abs(np.asarray(mesh.vertices) - middle) < reach).all(1)
    faces = mesh.faces[inside[mesh.faces].all(1)]
    part = trimesh.Trimesh(np.asarray(mesh.vertices) - middle, faces, process=False)
    part.remove_unreferenced_vertices()
    return part


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/detail"))
    parser.add_argument("--levers", nargs="+", default=["recipe", "curved 1"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--resolution", type=int, default=160)
    args = parser.parse_args()
    frames = bodies.read_frames(args.data)
    store = ScanStore(args.out / f"train{args.seed}.hdf5")
    shown = [row for row in frames if row["name"] in set(store.names)]
    shown = shown[:: len(shown) // args.frames][: args.frames]
    places = [list(boxes(row, parts_of(frames, row))) for row in shown]
    rows = [[bodies.registration(row) for row in shown]]
    for name in args.levers:
        state = dict(np.load(args.out / f"{name.replace(' ', '_')}_{args.seed}.npz"))
        pool = pool_of(store, store.names, LEVERS[name], args.seed)
        space = space_of(LEVERS[name], pool, state)
        names = [row["name"] for row in shown]
        rows.append([space.mesh(space[n], space.frame(n), args.resolution) for n in names])
    pictures = [
        [
            Figure(cropped(mesh, *place), label=label)
            for mesh, own in zip(meshes, places, strict=True)
            for place in own
        ]
        for label, meshes in zip(("truth", *args.levers), rows, strict=True)
    ]
    save_image(render_grid(pictures, height=260), args.out / f"closeups_{args.seed}.png")


if __name__ == "__main__":
    main()
