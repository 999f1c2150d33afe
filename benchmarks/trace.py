"""Rays a second of sphere tracing, against dense marching and against mesh and Embree.

    python benchmarks/trace.py [--size 96] [--rounds 3] [--device cpu] [--checkpoint last.ckpt]

One picture of size x size pixels of an exact body and of networks of 6x128 and 8x512 as they begin
(spheres; the first is the trained decoder of a checkpoint where one is given). Dense marching takes
512 samples a ray and bisects; it does every 16th ray. The mesh has cells of a pixel. Depths are
compared first, the rounds are interleaved, and the medians are given as JSON.
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch

from shapespace.decoders import Decoder, SkipMLP
from shapespace.geometry.rays import RayScene
from shapespace.rendering.camera import Orthographic, View
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.surface.query import field_values
from shapespace.surface.sphere_tracing import trace
from shapespace.synthetic.dataset import SUBJECTS, body

EXTENT, SAMPLES, HALVINGS, EVERY = 1.2, 512, 12, 16
CAMERA = Orthographic(-1.1, 1.1, -1.1, 1.1, View(), 2 * EXTENT)


class ExactBody(Decoder):
    """A synthetic body, centred; its gradient by central differences."""

    dimension, latent_size = 3, 0

    def __init__(self):
        super().__init__()
        self.shape = body(SUBJECTS[0], "jumping_jacks", 0.3)
        self.middle = self.shape.bounds.mean(0)

    def forward(self, points, latent):
        flat = points.double().cpu().numpy().reshape(-1, 3) + self.middle
        return torch.from_numpy(self.shape(flat)).to(points).reshape(points.shape[:2])

    def value_and_gradient(self, points, latent, gradient_from=0, value_until=None):
        step = 1e-3 * torch.eye(3).to(points)
        sides = [self(points + h, latent) - self(points - h, latent) for h in step]
        return self(points, latent)[:, :value_until], torch.stack(sides, -1)[
            :, gradient_from:
        ] / 2e-3


def dense(field, latent, origins, directions):
    """Depth of the first change of sign among 512 samples, bisected; inf for none."""
    t = torch.linspace(0, 4 * EXTENT, SAMPLES, device=latent.device).to(latent)
    points = origins[:, None] + t[:, None] * directions[:, None]
    below = field_values(field, latent, points.reshape(-1, 3)).reshape(-1, SAMPLES) < 0
    row = torch.nonzero(below.any(1))[:, 0]
    high = t[below.int().argmax(1)[row]]
    low = high - t[1]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        f = field_values(field, latent, origins[row] + middle[:, None] * directions[row])
        low, high = torch.where(f < 0, low, middle), torch.where(f < 0, middle, high)
    depth = torch.full((len(origins),), torch.inf).to(latent)
    depth[row] = high
    return depth


def meshed(field, latent, origins, directions, size):
    """Depth of the first triangle, inf for none."""
    pixel = (CAMERA.top - CAMERA.bottom) / size
    mesh = extract_mesh(field, latent, extent=EXTENT, largest_only=False, cell=pixel)
    origins, directions = origins.cpu().numpy(), directions.cpu().numpy()
    face = RayScene(mesh.vertices, mesh.faces).first(origins, directions)
    hit = face >= 0
    normal, corner = mesh.face_normals[face[hit]], mesh.triangles[face[hit], 0]
    depth = np.full(len(face), np.inf)
    slope = np.einsum("ki,ki->k", directions[hit], normal)
    depth[hit] = np.einsum("ki,ki->k", corner - origins[hit], normal) / slope
    return torch.from_numpy(depth)


def seconds(run, device):
    begun = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def compare(field, latent, size, rounds, device):
    """Equality first, then the medians of interleaved rounds."""
    origins = CAMERA.origins(size, size).reshape(-1, 3)
    directions = np.broadcast_to(CAMERA.direction, origins.shape)
    rays = [torch.tensor(part).to(latent) for part in (origins, directions)]
    few = [part[::EVERY] for part in rays]
    runs = {
        "trace": lambda: trace(field, latent, *rays, EXTENT),
        "dense": lambda: dense(field, latent, *few),
        "mesh": lambda: meshed(field, latent, *rays, size),
    }
    hits, exact, mesh = (run() for run in runs.values())
    one, mask = hits.depth[::EVERY], hits.hit[::EVERY] & exact.isfinite()
    error = (one - exact)[mask].abs()
    both = hits.hit.cpu() & mesh.isfinite()
    result = {
        "rays": size * size,
        "share that hit": round(float(hits.hit.float().mean()), 3),
        "hit differs from dense": int((hits.hit[::EVERY] != exact.isfinite()).sum()),
        "depth against dense, largest": float(error.max()) if len(error) else 0.0,
        "depth of mesh, median error": float((hits.depth.cpu() - mesh)[both].abs().median()),
        "evaluations a ray": round(float(hits.steps.float().mean()), 1),
        "overshot": int(hits.overshot.sum()),
    }
    assert result["hit differs from dense"] <= 0.01 * len(one), result
    assert not len(error) or error.median() < 1e-3, result
    spans = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            spans[name].append(seconds(run, device))
    for name, span in spans.items():
        count = len(few[0]) if name == "dense" else len(rays[0])
        result[f"{name}: rays a second"] = round(count / statistics.median(span))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--checkpoint")
    args = parser.parse_args()
    torch.manual_seed(0)
    small, code = SkipMLP(0, width=128, depth=6, skip=3, radius=0.6), torch.zeros(0)
    if args.checkpoint:
        space = TrainedSpace.load(args.checkpoint, "cpu")
        small, code = space.decoder, space.codes.table.weight[0].detach()
    large = SkipMLP(0, radius=0.6)
    cases = {
        "exact body": (ExactBody(), torch.zeros(0)),
        "6x128, trained" if args.checkpoint else "6x128": (small, code),
        "8x512": (large, torch.zeros(0)),
    }
    results = {
        name: compare(field.to(args.device), z.to(args.device), args.size, args.rounds, args.device)
        for name, (field, z) in cases.items()
    }
    print(json.dumps({"device": args.device, "torch": torch.__version__, **results}, indent=1))


if __name__ == "__main__":
    main()
