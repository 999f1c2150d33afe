"""One training run by the clock: how far does a recipe come in so many seconds of one core?

    python experiments/time_to_quality/run.py STORE --out OUT [options, one a lever]

STORE holds the training frames of experiments/real_bodies. The clock is the CPU time of this
process with one thread, evaluation and loading left out. Writes OUT/NAME.csv, the curve.
"""

import argparse
import copy
import csv
import math
import time
from pathlib import Path

import torch

from shapespace.codes import LatentCodes
from shapespace.data.store.store import ScanStore
from shapespace.decoders import PublishedMLP, SkipMLP
from shapespace.objectives import IGR, PublishedIGR
from shapespace.sampling import NearSurface, seeded_generator
from shapespace.training.datamodule import Windows
from shapespace.training.optimisers import decoder_optimisers

NETWORKS = {"published": PublishedMLP, "package": SkipMLP}
EVALUATION_SEED, EVALUATION_POINTS, EVALUATION_CHUNK = 20261123, 64, 41
COLUMNS = ("seconds", "steps", "total", "surface_mm", "normal", "eikonal", "latent")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/time_to_quality"))
    parser.add_argument("--name", default="run")
    parser.add_argument("--seconds", type=float, default=1200, help="budget")
    parser.add_argument("--target", type=float, default=0.0, help="stop at this total")
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", choices=NETWORKS, default="package")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--skip", type=int, default=3)
    parser.add_argument("--latent-size", type=int, default=64)
    parser.add_argument("--precision", choices=("float32", "mixed", "bfloat16"), default="float32")
    parser.add_argument("--keep-denormals", action="store_true")
    parser.add_argument("--scans", type=int, default=8, help="of a step")
    parser.add_argument("--points", type=int, default=512, help="on the surface, of a scan")
    parser.add_argument("--chunk", type=int, default=2, help="scans of one backward pass")
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.05], help="first, last")
    parser.add_argument("--extent", type=float, default=1.4)
    parser.add_argument("--uniform", type=float, default=0.125)
    parser.add_argument("--normal", type=float, default=1.0)
    parser.add_argument("--eikonal", type=float, default=0.1)
    parser.add_argument("--latent", type=float, default=1e-3)
    parser.add_argument("--optimiser", choices=("adam", "muon"), default="adam")
    parser.add_argument("--matrix-lr", type=float, default=1e-2, help="of muon")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--code-lr", type=float, default=3e-3)
    parser.add_argument("--dense-codes", action="store_true", help="Adam on the whole table")
    parser.add_argument("--schedule", choices=("halve", "cosine", "linear"), default="halve")
    parser.add_argument("--halvings", type=float, default=6)
    parser.add_argument("--warm-up", type=float, default=0.0, help="fraction of the budget")
    parser.add_argument("--average", type=float, default=0.0, help="decay of averaged weights")
    return parser.parse_args()


class Run:
    """Everything of one run; ``clock`` counts the CPU seconds of training alone."""

    def __init__(self, args):
        self.args, self.step, self.spent = args, 0, 0.0
        torch.manual_seed(args.seed)
        torch.set_num_threads(1)
        torch.set_flush_denormal(not args.keep_denormals)
        store = ScanStore(args.store)
        self.windows = Windows(store, store.names, args.points, args.seed)
        self.decoder = NETWORKS[args.network](
            args.latent_size, width=args.width, depth=args.depth, skip=args.skip
        )
        self.decoder.precision = args.precision
        self.codes = LatentCodes(len(store.names), args.latent_size, seed=args.seed)
        self.codes.table.sparse = not args.dense_codes
        objective = PublishedIGR if args.network == "published" else IGR
        self.objective = objective(args.normal, args.eikonal, args.latent)
        self.optimisers = list(build_optimisers(args, self.decoder, self.codes))
        self.starts = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.average = copy.deepcopy(self.decoder) if args.average else None
        self.order = self.visits()
        self.fixed = fixed_samples(store)

    def visits(self):
        """(scan, visit) for ever: a new order each epoch."""
        epoch, count = 0, len(self.windows)
        while True:
            generator = seeded_generator("cpu", self.args.seed, epoch)
            for position, scan in enumerate(torch.randperm(count, generator=generator).tolist()):
                yield scan, epoch * count + position
            epoch += 1

    def train(self):
        """Steps until the budget is spent or the target reached; yields rows of the curve."""
        args, marks = self.args, self.args.seconds / self.args.evaluations
        yield self.row()
        while self.spent < args.seconds:
            begin = time.process_time()
            mark = (int(self.spent / marks) + 1) * marks
            while self.spent < mark:
                self.set_rates(min(self.spent / args.seconds, 1))
                self.one_step()
                self.spent, begin = self.spent + time.process_time() - begin, time.process_time()
            row = self.row()
            yield row
            if row["total"] <= args.target:
                return

    def one_step(self):
        args = self.args
        scan = self.windows.read([next(self.order) for _ in range(args.scans)])
        generator = seeded_generator("cpu", args.seed, self.step)
        samples = self.samples(scan, generator)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for start in range(0, args.scans, args.chunk):
            rows = slice(start, start + args.chunk)
            terms = self.objective.terms(self.decoder, samples[rows], self.codes(scan.index[rows]))
            (self.objective.total(terms).sum() / args.scans).backward()
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        if self.average is not None:
            decay = min(args.average, self.step / (self.step + 10))
            pairs = zip(self.average.parameters(), self.decoder.parameters(), strict=True)
            for mean, weight in pairs:
                mean.data.lerp_(weight.data, 1 - decay)

    def samples(self, scan, generator):
        args = self.args
        done = min(self.spent / args.seconds, 1)
        sigma = args.sigma[0] ** (1 - done) * args.sigma[-1] ** done
        return NearSurface(sigma, args.extent, args.uniform)(scan, generator)

    def set_rates(self, done):
        """All rates from the fraction of the budget that is spent."""
        args = self.args
        factor = {
            "halve": 0.5 ** int(done * (args.halvings + 1)),
            "cosine": 0.5 + 0.5 * math.cos(math.pi * done),
            "linear": 1 - done,
        }[args.schedule]
        if args.warm_up:
            factor *= min(1, (done + 1e-4) / args.warm_up)
        for optimiser, starts in zip(self.optimisers, self.starts, strict=True):
            for group, start in zip(optimiser.param_groups, starts, strict=True):
                group["lr"] = max(start * factor, 5e-6)

    def row(self):
        decoder = self.average if self.average is not None else self.decoder
        values = evaluate(decoder, self.codes, self.fixed)
        return {"seconds": round(self.spent, 2), "steps": self.step, **values}


def build_optimisers(args, decoder, codes):
    """Those of the decoder, then that of the codes; all have one group."""
    table = [*codes.parameters()]
    yield from decoder_optimisers(decoder.parameters(), args.optimiser, args.lr, args.matrix_lr)
    yield (torch.optim.Adam if args.dense_codes else torch.optim.SparseAdam)(table, args.code_lr)


def fixed_samples(store):
    """The same samples of every scan for every run: those of the published recipe."""
    windows = Windows(store, store.names, EVALUATION_POINTS, EVALUATION_SEED)
    scan = windows.read([(index, 0) for index in range(len(windows))])
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    return NearSurface(sigma=0.01, extent=1.8)(scan, generator)


def evaluate(decoder, codes, samples):
    """Mean published loss of all training scans and its terms, in float32."""
    objective, found = IGR(), []
    twin = SkipMLP(
        decoder.latent_size, 3, decoder.layers[1].in_features, len(decoder.layers) - 1, decoder.skip
    )
    twin.load_state_dict(decoder.state_dict())
    with torch.no_grad():
        for start in range(0, len(codes), EVALUATION_CHUNK):
            rows = slice(start, start + EVALUATION_CHUNK)
            terms = objective.terms(twin, samples[rows], codes.table.weight[rows])
            found.append(torch.stack([objective.total(terms), *terms.values()]))
    total, surface, normal, eikonal, latent = torch.cat(found, 1).double().mean(1).tolist()
    values = (total, 1000 * surface, normal, eikonal, latent)
    return {name: round(v, 6) for name, v in zip(COLUMNS[2:], values, strict=True)}


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(args)
    with (args.out / f"{args.name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in run.train():
            writer.writerow(row)
            file.flush()
            print(args.name, *row.values(), flush=True)
    state = {"decoder": run.decoder.state_dict(), "codes": run.codes.state_dict()}
    if run.average is not None:
        state["decoder"] = run.average.state_dict()
    torch.save(state, args.out / f"{args.name}.pt")


if __name__ == "__main__":
    main()
