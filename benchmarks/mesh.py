"""Sparse meshes against the dense grid: the same triangles, how few points, how much time.

    python benchmarks/mesh.py [--sizes 64 128 256 512] [--fields torus body net] [--device cpu]
                              [--checkpoint FILE] [--cache FOLDER] [--out FILE]

A size R means a grid of R^3 nodes over [-1.2, 1.2]^3, the whole box: fractions are of R^3. The
opponent evaluates all R^3 nodes plane by plane, as many points a call, and runs PyMCubes on the
volume. Where it takes longer than --patience seconds its time is extrapolated, from measured planes
and from PyMCubes at the largest size at which it ran: the output says so ("extrapolated").
Vertices and faces are compared before anything is timed wherever the opponent runs in full.

Sparse runs are each done in a process of their own, whose largest memory is given; "before" is what
that process held when the field was ready.

Fields: torus, body (a synthetic person, exact distance); net and full (networks of 4x128 and of
8x512 with L = 256, fitted here to that body's distance; kept in --cache); checkpoint (the first
training shape of --checkpoint); and fields that are no distance: scaled (3 times the torus),
clamped (the torus, to +-0.1), occupancy (the torus, to +-0.5, 10 times as steep), relu (sigmoid of
a random ReLU network).
"""

import argparse
import json
import time
import warnings
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import mcubes
import numpy as np
import torch
from memory import largest_memory
from scipy.spatial import KDTree

from shapespace.decoders import SkipMLP
from shapespace.surface.grid import Grid
from shapespace.surface.level_set import zero_set
from shapespace.surface.mesh import evaluator
from shapespace.synthetic.dataset import SUBJECTS, body

EXTENT = 1.2
STEPS, POINTS, BATCH = 400, 40_000, 1024
NETWORKS = {"net": (16, 128, 4, 2), "full": (256, 512, 8, 4)}


def torus(points, latent):
    ring = torch.linalg.vector_norm(points[..., :2], dim=-1) - 0.7
    return torch.hypot(ring, points[..., 2]) - 0.25


def person():
    """A body about the origin as a function of numpy points."""
    shape = body(SUBJECTS[0], "hips", 0.3)
    middle = shape.bounds.mean(0)
    return lambda points: shape(points + middle)


def person_field(points, latent, shape):
    return torch.from_numpy(shape(points[0].double().numpy())).to(points)[None]


def relu_network():
    torch.manual_seed(0)
    sizes = (3, 64, 64, 1)
    layers = [torch.nn.Linear(i, o) for i, o in pairwise(sizes)]
    for layer in layers:
        torch.nn.init.normal_(layer.weight, 0, 1.5 / layer.in_features**0.5)
        torch.nn.init.normal_(layer.bias, 0, 0.5)
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    return lambda points, latent: torch.sigmoid(net.to(points.device)(points)[..., 0]) - 0.5


def network(name, cache):
    """A network fitted to the body's distance, from ``cache`` if it was fitted before."""
    latent_size, width, depth, skip = NETWORKS[name]
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, width=width, depth=depth, skip=skip, radius=0.6)
    path = cache / f"{name}.npz"
    if path.exists():
        decoder.load_state_dict({k: torch.from_numpy(v) for k, v in np.load(path).items()})
        return decoder
    shape, rng = person(), np.random.default_rng(0)
    points = rng.uniform(-EXTENT, EXTENT, (POINTS, 3))
    for _ in range(3):
        points[POINTS // 3 :] -= 0.5 * _towards(shape, points[POINTS // 3 :])
    points += rng.normal(0, 0.02, points.shape)
    target = torch.from_numpy(shape(points)).float()
    points = torch.from_numpy(points).float()
    optimiser = torch.optim.Adam(decoder.parameters(), 5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(STEPS):
        rows = torch.randint(POINTS, (BATCH,))
        loss = (decoder(points[None, rows], torch.zeros(1, latent_size))[0] - target[rows]).abs()
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"{name}: step {step + 1}, mean error {loss.mean().item():.4f}", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{k: v.numpy() for k, v in decoder.state_dict().items()})
    return decoder


def _towards(shape, points, step=1e-3):
    """F times its gradient, by differences."""
    value = shape(points)
    ahead = np.stack([shape(points + step * axis) for axis in np.eye(3)], 1)
    return value[:, None] * (ahead - value[:, None]) / step


def build(name, args):
    """A field and its code, on the device."""
    none = torch.zeros(0, device=args.device)
    if name in NETWORKS:
        decoder = network(name, args.cache).to(args.device)
        return decoder, torch.zeros(decoder.latent_size, device=args.device)
    if name == "checkpoint":
        from shapespace.space import TrainedSpace

        space = TrainedSpace.load(args.checkpoint, args.device)
        return space.decoder, space.code(space.names[0])
    plain = {
        "torus": torus,
        "body": partial(person_field, shape=person()),
        "scaled": lambda points, latent: 3 * torus(points, latent),
        "clamped": lambda points, latent: torus(points, latent).clamp(-0.1, 0.1),
        "occupancy": lambda points, latent: (10 * torus(points, latent)).clamp(-0.5, 0.5),
        "relu": relu_network(),
    }
    return plain[name], none


class Counted:
    """Points at which a field is evaluated."""

    def __init__(self, field):
        self.field, self.points = field, 0

    def __call__(self, points, latent):
        self.points += points.shape[1]
        return self.field(points, latent)


def grid_of(size):
    return Grid(np.full(3, -EXTENT), 2 * EXTENT / (size - 1), np.full(3, size))


def sparse(name, size, args):
    """Seconds, points and memory of one sparse run, in a process of its own."""
    torch.set_num_threads(args.threads)
    field, latent = build(name, args)
    counted = Counted(field)
    evaluate = evaluator(counted, latent)
    zero_set(evaluate, grid_of(40))
    counted.points, before = 0, largest_memory()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        _, faces = zero_set(evaluate, grid_of(size)).mesh()
        seconds = time.perf_counter() - start
    return {
        "faces": len(faces),
        "evaluated, percent": round(100 * counted.points / size**3, 3),
        "seconds": round(seconds, 3),
        "memory, MiB": round(largest_memory()),
        "before, MiB": round(before),
        "fell back": bool(caught),
    }


def dense(evaluate, grid, planes):
    """Values of the first ``planes`` planes in the middle, all if None, and seconds a plane."""
    size = int(grid.counts[0])
    chosen = range(size) if planes is None else range(size // 2, size // 2 + planes)
    volume = np.empty((len(chosen), size, size), np.float32)
    plane = np.indices((1, size, size)).reshape(3, -1).T
    start = time.perf_counter()
    for row, x in enumerate(chosen):
        volume[row] = evaluate(grid.points(plane + np.array([x, 0, 0]))).reshape(size, size)
    return volume, (time.perf_counter() - start) / len(chosen)


def opponent(name, size, args, rate):
    """Seconds of the dense grid, and whether its mesh is the sparse one; the new rate of PyMCubes.

    rate: seconds of PyMCubes a node at the largest size at which it ran, for sizes at which it
    would take too long.
    """
    field, latent = build(name, args)
    evaluate, grid = evaluator(field, latent), grid_of(size)
    _, each = dense(evaluate, grid, 1)
    if each * size > args.patience or size > 512:
        _, each = dense(evaluate, grid, 3)
        seconds = each * size + rate * size**3
        return {"dense, seconds": round(seconds, 1), "extrapolated": True}, rate
    volume, each = dense(evaluate, grid, None)
    start = time.perf_counter()
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    seconds = time.perf_counter() - start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = zero_set(evaluate, grid)
    theirs = (grid.low + grid.cell * vertices, faces[:, ::-1].astype(np.int64))
    found = {"dense, seconds": round(each * size + seconds, 2), "extrapolated": False}
    return found | compared(ours.mesh(), theirs, grid), seconds / size**3


def compared(ours, theirs, grid):
    """Whether two meshes are one up to order, and how far apart vertices are, in cells."""
    if ours[0].shape != theirs[0].shape or ours[1].shape != theirs[1].shape:
        return {"same": False, "apart, cells": None}
    places, first = np.unique(theirs[0], axis=0, return_inverse=True)
    apart, row = KDTree(places).query(ours[0])
    same = np.array_equal(in_order(row[ours[1]]), in_order(first.reshape(-1)[theirs[1]]))
    apart = float(apart.max(initial=0.0)) / grid.cell
    return {"same": bool(same and apart < 1e-3), "apart, cells": apart}


def in_order(faces):
    """Faces from their lowest corner, by their corners."""
    faces = np.take_along_axis(faces, (faces.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    return faces[np.lexsort(faces.T[::-1])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    plain = ["torus", "body", "net", "scaled", "clamped", "occupancy", "relu"]
    parser.add_argument(
        "--fields", nargs="+", default=plain, choices=[*plain, "full", "checkpoint"]
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmark-mesh"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name in args.fields:
        rate = 1.2e-8  # of PyMCubes, until it has run
        build(name, args)  # fits it, if it must be
        for size in args.sizes:
            row = {"field": name, "size": size}
            found, rate = opponent(name, size, args, rate)
            with get_context("spawn").Pool(1) as pool:
                row |= pool.apply(sparse, (name, size, args)) | found
            row["times faster"] = round(row["dense, seconds"] / row["seconds"], 1)
            rows.append(row)
            print(json.dumps(row), flush=True)
            if args.out:
                args.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
