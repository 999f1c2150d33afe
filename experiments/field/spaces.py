"""A small space of real bodies by each method, each trained for the same CPU seconds.

    python experiments/field/spaces.py DATA OUT --rates SURFACES/anchor_sim [--seconds 40]

DATA is a folder in the D-FAUST layout, see experiments/bodies.py. Fold 1 of
experiments/unseen_scans says which people and motions are left out. Trained on are 40 registered
frames; two raw scans of new motions and two of new people are reconstructed. SURFACES is the OUT of
surfaces.py, whose rates are taken. Rows that are in OUT/spaces.csv already are kept.
"""

import argparse
import csv
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree

from shapespace.baselines.atlasnet import AtlasNetOptions, train_atlasnet
from shapespace.baselines.poisson import screened_poisson
from shapespace.config.options import FitOptions, MeshOptions
from shapespace.data.formats.readers import read_raw
from shapespace.data.prepare.run import prepare, prepare_file
from shapespace.data.sources import find_sources
from shapespace.data.store.store import ScanStore
from shapespace.fitting.pose import Pose
from shapespace.geometry.components import largest_component
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.space import placed
from shapespace.training.cli import train

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "surfaces"))
import bodies
from measure import Reference, diagonal_of
from surfaces import HERE, row_of

FOLD = (("60001", "60006"), ("one_leg_jump", "shake_arms"))
"""People and motions that are left out: fold 1 of experiments/unseen_scans."""
NUM_FRAMES = 40
NUM_SCANS = 2
"""Raw scans of new motions, and as many of new people."""
METHODS = {
    "poisson": "normals",
    "nearest shape": "",
    "bodies-cpu": "normals",
    "igr-published": "normals",
    "sal": "points",
    "atlasnet sphere": "",
    "deepsdf": "signed",
    "occnet": "signed",
    "sald": "points",
    "digs": "points",
    "siren": "normals",
    "atlasnet squares": "",
}
"""Method -> what its surfaces saw in surfaces.py, for the rate."""
PROBE = 4
"""Epochs that say how long an epoch takes."""
COLUMNS = (
    *("method", "kind", "scan", "exact_chamfer_mm", "chamfer_mm", "mesh_to_truth_mm"),
    *("truth_to_mesh_mm", "hausdorff_mm", "normal_consistency", "components", "ghosts"),
    *("watertight", "rate", "epochs", "train_cpu_seconds", "fit_cpu_seconds"),
)


def frames(data):
    """Frames to train on, and raw scans with what the training saw of them."""
    people, motions = FOLD
    rows = bodies.read_frames(data)
    seen = [row for row in rows if row["subject"] not in people and row["sequence"] not in motions]
    shown = [seen[i] for i in np.linspace(0, len(seen) - 1, NUM_FRAMES).astype(int)]
    scans = []
    for kind in ("new motion", "new person"):
        mine = [
            row
            for row in rows
            if row["scan"]
            and (row["subject"] in people) != (row["sequence"] in motions)
            and (row["subject"] in people) == (kind == "new person")
        ]
        picked = np.linspace(0, len(mine) - 1, NUM_SCANS + 2)[1:-1].astype(int)
        scans += [(kind, mine[i]) for i in picked]
    return shown, scans


def trained(method, store, folder, *, epochs, rate):
    """The checkpoint of a training, and its CPU seconds."""
    recipes = [method] if method == "bodies-cpu" else [str(HERE / "bodies.yaml"), method]
    arguments = [
        *(f"--config={recipe}" for recipe in recipes),
        "--model.schedule=cosine",
        f"--data.store={store}",
        "--preview.every=1000000",
        f"--trainer.max_epochs={epochs}",
        f"--trainer.default_root_dir={folder}",
        *([] if rate is None else [f"--model.lr={rate:g}"]),
    ]
    start = time.process_time()
    return train(arguments), time.process_time() - start


def field_space(method, store, out, args):
    """Facts of the training, and a function from scans to meshes."""
    rates = args.rates / f"{method}_{METHODS[method]}.json"
    rate = json.loads(rates.read_text())["rate"] if rates.exists() else None
    name = method.replace(" ", "_")
    few, many = (
        trained(method, store, out / f"{name}_{n}", epochs=n, rate=rate)[1] for n in (1, 1 + PROBE)
    )
    epochs = max(round(args.seconds * PROBE / max(many - few, 1e-3)), 4)
    checkpoint, spent = trained(method, store, out / name, epochs=epochs, rate=rate)

    def reconstruct(row):
        sources = find_sources(args.data / "scans", [row["name"]])
        done = reconstruct_files(
            checkpoint,
            sources,
            out / f"{name}_fits",
            FitOptions(num_points=2000),
            MeshOptions(resolution=128),
        )
        return done.done[0].mesh

    about = {"rate": "own" if rate is None else rate, "epochs": epochs}
    return {**about, "train_cpu_seconds": spent}, reconstruct


def in_frame(row, data):
    """A raw scan as the fields begin to see it: metres, centred."""
    return prepare_file(data / row["scan"], num_points=10_000)


def back(mesh, scan):
    return placed(mesh, scan.frame, Pose.identity(1, torch.zeros(1, 3, dtype=torch.float64)))


def atlasnet_space(primitive, store, args):
    """AtlasNet of as many epochs as take the seconds; scans are centred, and not moved further."""
    scans = [store.scan(name).points[:10_000] for name in store.names]
    options = AtlasNetOptions(primitive=primitive, num_points=1000, batch_size=8, epochs=3)
    if primitive == "squares":
        options = replace(options, width=32)
    start = time.process_time()
    train_atlasnet(scans, options)
    epochs = max(round(args.seconds * 3 / (time.process_time() - start)), 4)
    start = time.process_time()
    space = train_atlasnet(scans, replace(options, epochs=epochs))

    def reconstruct(row):
        scan = in_frame(row, args.data)
        return back(space.mesh(space.fit(scan.points, steps=200)), scan)

    about = {"rate": options.lr, "epochs": epochs}
    return {**about, "train_cpu_seconds": time.process_time() - start}, reconstruct


def nearest_shape(store, shown, args):
    """The training mesh that is nearest to the scan, both centred."""
    trees = {name: KDTree(store.scan(name).points[:10_000]) for name in store.names}
    of_name = {row["name"]: row for row in shown}

    def reconstruct(row):
        scan = in_frame(row, args.data)
        points = scan.points[:2000]
        near = {name: np.median(tree.query(points)[0]) for name, tree in trees.items()}
        best = min(near, key=near.get)
        mesh = bodies.registration(of_name[best])
        mesh.vertices = store.scan(best).frame.to_store(mesh.vertices)
        return back(mesh, scan)

    return {}, reconstruct


def poisson(args):
    def reconstruct(row):
        raw = read_raw(args.data / row["scan"])
        return largest_component(screened_poisson(raw.vertices, raw.normals, 9))

    return {}, reconstruct


def method_of(method, path, shown, args):
    """Facts of the training, and a function from scans to meshes."""
    store = ScanStore(path)
    if method == "poisson":
        return poisson(args)
    if method == "nearest shape":
        return nearest_shape(store, shown, args)
    if method.startswith("atlasnet"):
        return atlasnet_space(method.split()[1], store, args)
    return field_space(method, path, args.out, args)


def measured(mesh, row):
    """Lengths in millimetres; ghosts lie farther than 2 % of the diagonal from the truth."""
    truth = bodies.registration(row)
    found = row_of(mesh, Reference.of_mesh(truth))
    mm = 10 * diagonal_of(truth)
    lengths = {
        "exact_chamfer": "exact_chamfer_mm",
        "chamfer": "chamfer_mm",
        "mesh_to_reference": "mesh_to_truth_mm",
        "reference_to_mesh": "truth_to_mesh_mm",
        "hausdorff": "hausdorff_mm",
    }
    return found | {new: mm * found[old] for old, new in lengths.items() if old in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rates", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    shown, scans = frames(args.data)
    store = args.out / "train.hdf5"
    if not store.exists():
        names = [row["name"] for row in shown]
        prepare(args.data, store, num_points=20_000, scans=names, targets=40_000, sigma=True)
    path = args.out / "spaces.csv"
    if not path.exists():
        path.write_text(",".join(COLUMNS) + "\n")
    with path.open() as file:
        done = {row["method"] for row in csv.DictReader(file)}
    for method in args.methods:
        if method in done:
            continue
        about, reconstruct = method_of(method, store, shown, args)
        rows = []
        for kind, row in scans:
            start = time.process_time()
            mesh = reconstruct(row)
            spent = time.process_time() - start
            mesh.export(args.out / f"{method.replace(' ', '_')}_{row['name']}.ply")
            of_scan = {"method": method, "kind": kind, "scan": row["name"]}
            rows.append({**of_scan, **about, "fit_cpu_seconds": spent, **measured(mesh, row)})
            cells = [rows[-1].get(column, "") for column in COLUMNS]
            print(*(f"{c:.4g}" if isinstance(c, float) else c for c in cells), flush=True)
        with path.open("a", newline="") as file:
            for row in rows:
                cells = [row.get(column, "") for column in COLUMNS]
                csv.writer(file).writerow(f"{c:.4g}" if isinstance(c, float) else c for c in cells)


if __name__ == "__main__":
    main()
