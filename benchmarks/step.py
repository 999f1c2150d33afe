"""A training step against the published formulation: time, share of the peak, memory, error.

    python benchmarks/step.py [--sizes small full] [--device cpu] [--threads 2] [--rounds 7]
                              [--scans 4] [--points 1024] [--compiled] [--memory] [--train 500]
                              [--out FILE]

A step: sampling, f and grad f, the IGR loss, its backward, Adam on decoder and codes. Published
(IGR, Gropp et al. 2020): the code concatenated to every point, one forward for the surface and one
for the space points, softplus by torch, grad f by autograd with a graph, one backward through it,
dense Adam on the code table. Losses and gradients are compared with it first, on the same samples.
Times are medians of interleaved runs; the peak is that of one large product in the same precision.
--memory: the largest memory of one step, each formulation in a process of its own. --train: steps
after which the eikonal residual of each precision is compared with float32's.
"""

import argparse
import json
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from memory import largest_memory

from shapespace.codes import LatentCodes
from shapespace.decoders import PublishedMLP, SkipMLP
from shapespace.objectives import IGR, PublishedIGR
from shapespace.objectives.terms import eikonal
from shapespace.sampling import NearSurface, seeded_generator
from shapespace.scan import Scan

SIZES = {
    "small": {"latent_size": 32, "width": 128, "depth": 4, "skip": 2},
    "full": {"latent_size": 256, "width": 512, "depth": 8, "skip": 4},
}
SHAPES, LR, CODE_LR = 1000, 1e-4, 1e-3
PEAK = {"mixed": torch.bfloat16, "bfloat16": torch.bfloat16}


class Step:
    """One formulation with decoder, codes and optimisers of its own."""

    def __init__(self, name, size, device):
        torch.manual_seed(0)
        published = name == "published"
        kind = PublishedMLP if published else SkipMLP
        self.decoder = kind(**SIZES[size]).to(device)
        self.decoder.compiled = name == "compiled"
        self.decoder.precision = "float32" if name in ("published", "compiled") else name
        self.objective = PublishedIGR() if published else IGR()
        self.codes = LatentCodes(SHAPES, SIZES[size]["latent_size"], 0.02).to(device)
        self.codes.table.sparse = not published
        self.sampler = NearSurface(0.05, 1.4)
        adam, rows = torch.optim.Adam, torch.optim.Adam if published else torch.optim.SparseAdam
        fused = {} if published else {"fused": True}
        self.optimisers = [
            adam(self.decoder.parameters(), LR, **fused),
            rows(self.codes.parameters(), CODE_LR),
        ]

    def __call__(self, scan, number, chunk=None):
        """A step on the batch; the loss."""
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss = self.backward(scan, number, chunk)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss

    def backward(self, scan, number, chunk=None):
        samples = self.sampler(scan, seeded_generator(scan.points.device, number))
        count, total = len(scan.index), 0.0
        for start in range(0, count, chunk or count):
            rows = slice(start, start + (chunk or count))
            latent = self.codes(scan.index[rows])
            terms = self.objective.terms(self.decoder, samples[rows], latent)
            loss = self.objective.total(terms).sum() / count
            loss.backward()
            total = total + loss.detach()
        return total

    def residual(self, scan):
        """The eikonal term in float32, at fixed points."""
        samples = self.sampler(scan, seeded_generator(scan.points.device, 7, 7))
        with torch.no_grad():
            latent = self.codes(scan.index)
            _, gradient = SkipMLP.value_and_gradient(self.decoder, samples.space, latent)
        return eikonal(gradient).mean().item()


def batch(num_scans, num_points, device):
    """Ellipsoids with normals."""
    generator = torch.Generator().manual_seed(0)
    unit = F.normalize(torch.randn(num_scans, num_points, 3, generator=generator), dim=-1)
    axes = 0.4 + 0.5 * torch.rand(num_scans, 1, 3, generator=generator)
    normals = F.normalize(unit / axes, dim=-1)
    sigma = torch.full(unit.shape[:2], 0.05)
    return Scan(torch.arange(num_scans), unit * axes, normals, sigma).to(device)


def compare(steps, scan):
    """Relative differences from the published formulation in f, grad f and the gradients."""
    found = {}
    for name, step in steps.items():
        samples = step.sampler(scan, seeded_generator(scan.points.device, 0))
        f, g = step.decoder.value_and_gradient(samples.surface, step.codes(scan.index))
        loss = step.backward(scan, 0)
        weights = torch.cat([p.grad.flatten() for p in step.decoder.parameters()])
        codes = step.codes.table.weight.grad.to_dense()
        found[name] = {"f": f, "grad f": g, "weights": weights, "codes": codes, "loss": loss}
        step.decoder.zero_grad()
    exact = found["published"]
    return {
        name: {
            part: float((value - exact[part]).detach().norm() / exact[part].detach().norm())
            for part, value in parts.items()
        }
        for name, parts in found.items()
    }


def waited(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work, device):
    start = waited(device)
    work()
    return waited(device) - start


def peak(dtype, device, size=4096):
    """FLOP a second of one large matrix product."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = [timed(lambda: a @ b, device) for _ in range(6)]
    return 2 * size**3 / median(seconds[1:])


def flops(decoder, scan, sampler):
    """Forward, gradient, and the backward through both: six products of each matrix and point."""
    points = sampler(scan, seeded_generator(scan.points.device, 0)).num_points
    weights = sum(linear.weight.numel() for linear in decoder.linears())
    return 12 * weights * points * len(scan.index)


def speed(size, names, args):
    scan = batch(args.scans, args.points, args.device)
    steps = {name: Step(name, size, args.device) for name in names}
    errors = compare(steps, scan)
    seconds = {name: [] for name in names}
    for number in range(args.rounds + 1):
        for name, step in steps.items():
            spent = timed(partial(step, scan, number), args.device)
            seconds[name] += [spent] if number else []
    work = flops(steps["published"].decoder, scan, steps["published"].sampler)
    peaks = {
        dtype: peak(dtype, args.device, args.peak) for dtype in (torch.float32, torch.bfloat16)
    }
    for name in names:
        spent = median(seconds[name])
        yield {
            "size": size,
            "step": name,
            "seconds": round(spent, 4),
            "times faster": round(median(seconds["published"]) / spent, 2),
            "GFLOP/s": round(work / spent / 1e9),
            "of the peak, %": round(100 * work / spent / peaks[PEAK.get(name, torch.float32)]),
            "differences": {part: float(f"{e:.1e}") for part, e in errors[name].items()},
        }


def memory_of_a_step(name, size, num_scans, num_points, chunk, device):
    """GiB above what the process held before."""
    scan, step = batch(num_scans, num_points, device), Step(name, size, device)
    before = largest_memory()
    step(scan, 0, chunk)
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return (largest_memory() - before) / 1024


def memory(args):
    """The published step at 2 scans of 8000 points, which grows by the scan; ours at 16."""
    found = {}
    for name, scans, chunk in (("published", 1, None), ("published", 2, None), ("float32", 16, 1)):
        with get_context("spawn").Pool(1) as pool:
            job = (name, "full", scans, 8000, chunk, args.device)
            found[name, scans] = pool.apply(memory_of_a_step, job)
    one, two = found["published", 1], found["published", 2]
    whole = two + 14 * (two - one)
    yield {
        "full, published, 16 x 8000, GiB (by the scan, from 1 and 2)": round(whole, 1),
        "full, ours, one scan a chunk, GiB": round(found["float32", 16], 2),
        "share": round(found["float32", 16] / whole, 3),
    }


def training(size, args):
    """Eikonal residual at the end of a short training, in float32 and in each lower precision.

    A mean over every fifth of the last 50 steps. "rounded otherwise" is float32 with its sums in
    another order: two trainings drift apart by that much for nothing.
    """
    scan = batch(args.scans, 256, args.device)
    residuals = {}
    for name in ("float32", "rounded otherwise", "mixed", "bfloat16"):
        other = name == "rounded otherwise"
        step, found = Step("float32" if other else name, size, args.device), []
        for number in range(args.train):
            step(scan, number, 1 if other else None)
            if number >= args.train - 50 and number % 5 == 4:
                found.append(step.residual(scan))
        residuals[name] = sum(found) / len(found)
    exact = residuals["float32"]
    yield {
        "size": size,
        "steps": args.train,
        "eikonal": {name: float(f"{value:.4g}") for name, value in residuals.items()},
        "off, %": {name: round(100 * (v / exact - 1), 1) for name, v in residuals.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["small", "full"], choices=SIZES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scans", type=int, default=4)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--peak", type=int, default=4096, help="side of the large product")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--train", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    names = ["published", "float32", "tf32", "mixed", "bfloat16"]
    names = [*names, "compiled"] if args.compiled else names
    rows = []
    jobs = [speed(size, names, args) for size in args.sizes]
    jobs += [training(size, args) for size in args.sizes if args.train]
    jobs += [memory(args)] if args.memory else []
    for job in jobs:
        for row in job:
            rows.append(row)
            print(json.dumps(row), flush=True)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
