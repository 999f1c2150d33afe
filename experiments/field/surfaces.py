"""Every method of the field on single surfaces, each for the same CPU seconds.

    python experiments/field/surfaces.py OBJECTS OUT [NAME ...] [--seconds 12] [--methods M ...]

OBJECTS holds a folder for each NAME with scan.ply and, where there is a ground truth, gt.ply. A
method with a slash and a word, as `digs/points`, names what it sees: normals, points, signed, or
estimated, the normals that prepare estimates from the points. With --steps each method runs so long
on top of the recipe of `shapespace surface`, in place of the seconds. Rows that are in
OUT/surfaces.csv already are kept: a stopped run goes on. The rate of each method is the published
one or 5e-4, whichever is nearer to its scan after a third of the seconds on the first NAME.
"""

import argparse
import csv
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import trimesh
import yaml
from scipy.spatial import KDTree

from shapespace.baselines.deep_geometric_prior import PriorOptions, deep_geometric_prior
from shapespace.baselines.poisson import screened_poisson
from shapespace.config.recipes import METHODS as RECIPES
from shapespace.data.extent import RIM, extent_of
from shapespace.data.prepare.run import prepare, prepare_file
from shapespace.data.store.writer import StoreWriter
from shapespace.decoders.base import value_and_gradient
from shapespace.geometry.components import components, largest_component
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.training.cli import train

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "surfaces"))
from measure import Reference, diagonal_of, load, measure, nearest, seen_and_hidden

HERE = Path(__file__).resolve().parent
NAMES = ("anchor_sim", "plane_sim", "armadillo_sim", "gargoyle_real")
NORMALS = (
    "surface",
    "igr-published",
    "igr-fourier",
    "igr-grid",
    "drlse",
    "lp-eikonal",
    "siren",
    "dirichlet",
    "level-sets",
)
POINTS = (
    "surface",
    "igr-published",
    "digs",
    "steik",
    "singular-hessian",
    "hotspot",
    "sal",
    "sal-h0",
    "sald",
    "neural-pull",
    "deep-level-sets",
)
SIGNED = ("deepsdf", "occnet", "imnet")
METHODS = (
    "poisson/normals",
    *(f"{name}/normals" for name in NORMALS),
    *(f"{name}/points" for name in POINTS),
    *(f"{name}/signed" for name in SIGNED),
    "dgp/normals",
)
"""signed: signed distances to the surface that screened Poisson finds."""
RATE = 5e-4
EPOCHS = 10
PROBE = 40
"""Steps that say how long a step takes."""
GHOST = 2.0
"""Percent of the diagonal beyond which surface counts as a ghost."""
NO_DISTANCE = ("occnet", "imnet", "sal-h0", "dirichlet")
"""Methods whose field is no distance; its slope is not 1."""


def problem(folder):
    """What is measured against, and the scan that every method sees."""
    scan = load(folder / "scan.ply")
    if (folder / "gt.ply").exists():
        return Reference.of_mesh(load(folder / "gt.ply")), scan
    seen, hidden = seen_and_hidden(scan)
    kept = trimesh.Trimesh(
        scan.vertices[seen], vertex_normals=scan.vertex_normals[seen], process=False
    )
    return Reference.of_scan(scan, hidden), kept


def stores(scan, out):
    """A store for each of normals, points, estimated and signed; made once."""
    found = {kind: out / f"{kind}.hdf5" for kind in ("normals", "points", "estimated", "signed")}
    if all(path.exists() for path in found.values()):
        return found
    out.mkdir(parents=True, exist_ok=True)
    cloud, bare = out / "scan.npz", out / "points.npz"
    np.savez(cloud, points=scan.vertices, normals=scan.vertex_normals)
    np.savez(bare, points=scan.vertices)
    kinds = (
        ("normals", cloud, "source"),
        ("points", bare, "none"),
        ("estimated", bare, "estimate"),
    )
    for kind, file, normals in kinds:
        if found[kind].exists():
            continue
        one = prepare_file(file, scale=None, normals=normals, sigma=True)
        rows = extent_of(one.points).times(one.points) <= RIM
        kept = {
            name: None if getattr(one, name) is None else getattr(one, name)[rows]
            for name in ("points", "normals", "sigma")
        }
        with StoreWriter(found[kind], "radius", 3) as writer:
            writer.add(replace(one, **kept))
    if found["signed"].exists():
        return found
    closed = out / "poisson.ply"
    largest_component(poisson(scan)).export(closed)
    prepare(closed, found["signed"], num_points=50_000, normalise=True, targets=100_000)
    return found


def poisson(scan):
    return screened_poisson(scan.vertices, scan.vertex_normals, 9)


def prior(scan, seconds):
    """Deep geometric prior on at most 4000 points; its steps take about ``seconds``."""
    rows = np.random.default_rng(0).permutation(len(scan.vertices))[:4000]
    points, normals = scan.vertices[rows], scan.vertex_normals[rows]
    options = PriorOptions(radius=0.08, patch_points=32, widen=0.25, global_steps=PROBE)
    options = replace(options, local_steps=PROBE)
    start = time.process_time()
    deep_geometric_prior(points, normals, options)
    steps = round(PROBE * seconds / (time.process_time() - start))
    options = replace(options, local_steps=max(steps, 8), global_steps=max(steps, 8))
    return deep_geometric_prior(points, normals, options, depth=9), steps


def own_rate(method):
    return float(yaml.safe_load(RECIPES[method].read_text())["model"]["lr"])


def fitted(method, store, folder, *, steps, rate, seed, base=str(HERE / "surface.yaml")):
    """The space of one shape after ``steps`` steps, and the CPU seconds of the training."""
    shutil.rmtree(folder, ignore_errors=True)
    recipes = ["surface"] if method == "surface" else [base, method]
    # The recipe of the product has its own two rates.
    rates = [] if rate is None else [f"--model.lr={rate:g}"]
    arguments = [
        *(f"--config={recipe}" for recipe in recipes),
        *rates,
        "--model.schedule=cosine",
        f"--data.store={store}",
        f"--data.repeats={max(steps // EPOCHS, 1)}",
        f"--trainer.max_epochs={min(EPOCHS, steps)}",
        f"--trainer.default_root_dir={folder}",
        *(f"--{name}={seed}" for name in ("seed_everything", "model.seed", "data.seed")),
    ]
    start = time.process_time()
    checkpoint = train(arguments)
    return TrainedSpace.load(checkpoint, "cpu"), time.process_time() - start


def speed(method, store, folder):
    """CPU seconds of a step."""
    few, many = (
        fitted(method, store, folder, steps=count, rate=None, seed=0)[1]
        for count in (10, 10 + PROBE)
    )
    return max(many - few, 1e-3) / PROBE


def meshed(space, resolution=128):
    """The whole zero set, with all that is not the object."""
    (name,) = space.names
    return extract_mesh(
        space.decoder,
        space.code(name),
        resolution,
        largest_only=False,
        extent=space.extent,
        frame=space.frame(name),
    )


def residual(space):
    """RMS of |grad f| - 1 in the box of the radius of the scan."""
    points = 2 * torch.rand(1, 4096, 3, generator=torch.Generator().manual_seed(0)) - 1
    slope = value_and_gradient(space.decoder, points, space.code(space.names[0])[None])[1]
    return float((slope.detach().norm(dim=-1) - 1).square().mean().sqrt())


def to_scan(mesh, scan):
    """Chamfer distance to the scan, in percent of its diagonal: what a user can know."""
    if not len(mesh.faces):
        return np.inf
    own = trimesh.sample.sample_surface(mesh, 5000, seed=0)[0]
    rows = np.random.default_rng(0).permutation(len(scan.vertices))[:5000]
    back = nearest(scan.vertices[rows], mesh)[0]
    there = KDTree(scan.vertices).query(own)[0]
    return 50 * float(there.mean() + back.mean()) / diagonal_of(scan)


def rate_of(method, kind, store, scan, out, seconds):
    """The rate whose surface is nearer to the scan, and the seconds of a step; found once."""
    path = out / f"{method}_{kind}.json"
    if not path.exists():
        # A first guess; the runs below measure better.
        steps = max(round(seconds / speed(method, store, out / "probe")), EPOCHS)
        rates = [None] if method == "surface" else sorted({own_rate(method), RATE})
        near, spent = {}, 0.0
        for rate in rates:
            space, used = fitted(method, store, out / "probe", steps=steps, rate=rate, seed=0)
            near[rate] = to_scan(largest_component(meshed(space)), scan)
            spent += used
        step = spent / len(rates) / (steps // EPOCHS * EPOCHS)
        tried = [{"rate": rate, "to_scan": value} for rate, value in near.items()]
        found = {"rate": min(near, key=near.get), "step": step, "steps": steps, "tried": tried}
        path.write_text(json.dumps(found))
    return json.loads(path.read_text())


def row_of(whole, reference):
    """A row of the table: of the largest part, but parts and ghosts are of the whole surface."""
    if not len(whole.faces):
        return {"faces": 0}
    row = measure(largest_component(whole), reference)
    samples = np.asarray(trimesh.sample.sample_surface(whole, 20_000, seed=3)[0])
    if reference.mesh is not None:
        off = nearest(samples, reference.mesh)[0]
    else:
        off = KDTree(reference.points).query(samples)[0]
    ghosts = float((100 * off / reference.diagonal > GHOST).mean())
    return {**row, "components": components(whole)[0], "ghosts": ghosts}


COLUMNS = (
    *("object", "method", "sees", "seed", "exact_chamfer", "chamfer", "mesh_to_reference"),
    *("reference_to_mesh", "hausdorff", "normal_consistency", "components", "ghosts"),
    *("watertight", "eikonal", "rate", "steps", "cpu_seconds", "faces"),
)


def trial(name, entry, seed, args):
    """A row of the table; the mesh is kept for the picture."""
    method, kind = entry.split("/")
    out = args.out / name
    reference, scan = problem(args.objects / name)
    about = {"object": name, "method": method, "sees": kind, "seed": seed}
    start = time.process_time()
    if method == "poisson":
        mesh = poisson(scan)
        about["cpu_seconds"] = time.process_time() - start
    elif method == "dgp":
        mesh, about["steps"] = prior(scan, args.seconds)
        about["cpu_seconds"] = time.process_time() - start
    else:
        store = stores(scan, out)[kind]
        first = args.out / NAMES[0]
        known = problem(args.objects / NAMES[0])[1]
        found = rate_of(method, kind, stores(known, first)[kind], known, first, args.seconds / 3)
        steps = max(round(args.seconds / found["step"]), EPOCHS) // EPOCHS * EPOCHS
        more = {}
        if args.steps:
            steps, more = args.steps, {"base": "surface"}
        folder = out / f"{method}_{kind}_{seed}"
        rate = found["rate"]
        space, spent = fitted(method, store, folder, steps=steps, rate=rate, seed=seed, **more)
        mesh = meshed(space)
        about |= {"rate": found["rate"] or "own", "steps": steps, "cpu_seconds": spent}
        if method not in NO_DISTANCE:
            about["eikonal"] = residual(space)
        shutil.rmtree(folder, ignore_errors=True)
    mesh.export(out / f"{method}_{kind}_{seed}.ply")
    return {**about, **row_of(mesh, reference)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("objects", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES[:2])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "surfaces.csv"
    done = set()
    if path.exists():
        with path.open() as file:
            done = {tuple(r[c] for c in COLUMNS[:4]) for r in csv.DictReader(file)}
    else:
        path.write_text(",".join(COLUMNS) + "\n")
    for seed in args.seeds:
        for name in args.names:
            (args.out / name).mkdir(parents=True, exist_ok=True)
            for entry in args.methods:
                if (name, *entry.split("/"), str(seed)) in done:
                    continue
                row = trial(name, entry, seed, args)
                cells = [row.get(column, "") for column in COLUMNS]
                cells = [f"{cell:.4g}" if isinstance(cell, float) else cell for cell in cells]
                with path.open("a", newline="") as file:
                    csv.writer(file).writerow(cells)
                print(*cells, flush=True)


if __name__ == "__main__":
    main()
