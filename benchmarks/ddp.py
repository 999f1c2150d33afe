"""A training step of several ranks: bytes and seconds by the number of training shapes.

    python benchmarks/ddp.py [--shapes 1000 40000 1000000] [--rounds 3] [--steps 40] [--ranks 2]
                             [--batch 4] [--points 64] [--width 128] [--depth 4] [--out FILE]

Ours: ShapeSpace under Lightning's DDP with the callbacks that judge a step or stop. No files.
Dense: the plain script, an nn.Embedding beside the decoder in DistributedDataParallel, one Adam
over all; it is given gradient_as_bucket_view and the fused Adam, which save it memory and time.
Both take the same decoder, scans and samples in the same order, and their losses are compared
first. gloo on the CPU; the contenders take turns, each in fresh processes of one thread a rank. The
dense one takes fewer steps where there are many shapes.

Seconds are from the end of one step to the end of the next. Bytes are those that the loopback
interface counted in between, divided by the ranks: what one rank sends. Formula: a ring of W ranks
sends 2 (W-1)/W times the gradients that are reduced and W-1 times the rows that are gathered.
Medians over all steps and rounds. Memory is the largest of any rank. Waits are for each exchange.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torch.nn.functional as F
from memory import largest_memory
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from shapespace.codes import LatentCodes
from shapespace.decoders import SkipMLP
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface, samples_of_visits
from shapespace.scan import Scan
from shapespace.training import module as steps
from shapespace.training.batches import Batch, Steps
from shapespace.training.callbacks.checkpoints import CheckpointCallback
from shapespace.training.callbacks.divergence import DivergenceMonitor
from shapespace.training.callbacks.ranks import Ranks
from shapespace.training.cli import TRAINER
from shapespace.training.module import ShapeSpace
from shapespace.utils.memory import free_memory

LATENT, LR, CODE_LR, STD = 256, 1e-4, 1e-3, 0.02
NAMES, WARM, WAITS = ("ours", "dense"), 3, ("code rows", "report", "boundary", "sigterm")
DENSE_TABLES = 5
"""A rank of the dense one holds so many times the table: two moments, gradient and bucket."""


class Clock(pl.Callback):
    """Seconds, bytes on the loopback interface and loss at the end of each step."""

    def __init__(self):
        self.ticks, self.losses = [], []

    def tick(self, loss):
        self.ticks.append((time.perf_counter(), bytes_sent()))
        self.losses.append(loss)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.tick(module.last_step.terms["loss"])

    def found(self):
        """Of each step after the warm-up but the last, after which a training differs."""
        pairs = list(zip(self.ticks, self.ticks[1:], strict=False))[WARM - 1 : -1]
        return {
            "seconds": [after[0] - before[0] for before, after in pairs],
            "bytes": [after[1] - before[1] for before, after in pairs],
            "losses": self.losses[:WARM],
        }


class Waits(pl.Callback):
    """Seconds of each small exchange of a step of ours."""

    def __init__(self):
        self.found = {}

    def on_train_start(self, trainer, module):
        loop, strategy = trainer.fit_loop.epoch_loop, trainer.strategy
        steps.share_rows = self.timed("code rows", steps.share_rows)
        loop._broadcast_sigterm_tensor = self.timed("sigterm", loop._broadcast_sigterm_tensor)
        names = {"sum": "report", "max": "boundary"}
        reduces = {op: self.timed(name, strategy.reduce) for op, name in names.items()}
        plain = strategy.reduce
        strategy.reduce = lambda part, group=None, reduce_op="mean": reduces.get(reduce_op, plain)(
            part, group=group, reduce_op=reduce_op
        )

    def timed(self, name, work):
        def wrapped(*args, **kwargs):
            start = time.perf_counter()
            result = work(*args, **kwargs)
            self.found.setdefault(name, []).append(time.perf_counter() - start)
            return result

        return wrapped


class Boundary(CheckpointCallback):
    """Asks at each boundary whether to stop or save, and saves nothing."""

    def __init__(self):
        super().__init__(every=sys.maxsize, minutes=1e6)

    def on_train_end(self, trainer, pl_module):
        pass


class Dense(nn.Module):
    """Decoder and table as one module; forward is the loss."""

    def __init__(self, decoder, num_shapes):
        super().__init__()
        self.decoder, self.objective = decoder, IGR()
        self.codes = LatentCodes(num_shapes, LATENT, STD)
        self.codes.table.sparse = False

    def forward(self, samples, index):
        terms = self.objective.terms(self.decoder, samples, self.codes(index))
        return self.objective.total(terms).mean()


def decoder_of(args):
    torch.manual_seed(0)
    return SkipMLP(LATENT, width=args.width, depth=args.depth, skip=0)


def batches(num_shapes, args, steps):
    """Ellipsoids, another one at each visit, in the order of a training."""
    for step in islice(Steps(num_shapes, args.batch), steps):
        clouds = [cloud(number, args.points) for _, number in step.visits]
        points, normals = (torch.stack(parts) for parts in zip(*clouds, strict=True))
        index = torch.tensor([shape for shape, _ in step.visits])
        yield Batch(Scan(index, points, normals, torch.full(points.shape[:2], 0.05)), step)


def cloud(number, num_points):
    generator = torch.Generator().manual_seed(number)
    unit = F.normalize(torch.randn(num_points, 3, generator=generator), dim=-1)
    axes = 0.4 + 0.5 * torch.rand(3, generator=generator)
    return unit * axes, F.normalize(unit / axes, dim=-1)


def train_ours(num_shapes, args, steps, folder):
    module = ShapeSpace(
        *(decoder_of(args), IGR(), NearSurface(0.05, 1.4), num_shapes),
        lr=LR,
        code_lr=CODE_LR,
        code_init_std=STD,
    )
    clock, waits = Clock(), Waits()
    options = {**TRAINER, "default_root_dir": folder, "max_epochs": 1}
    options |= {"callbacks": [DivergenceMonitor(), Ranks(), Boundary(), waits, clock]}
    trainer = pl.Trainer(accelerator="cpu", strategy="ddp", devices=args.ranks, **options)
    data = list(batches(num_shapes, args, steps))
    trainer.fit(module, DataLoader(data, batch_size=None))
    return clock.found() | {"waits": {name: v[WARM:] for name, v in waits.found.items()}}


def train_dense(num_shapes, args, steps, folder):
    model = Dense(decoder_of(args), num_shapes)
    ranks, clock = DistributedDataParallel(model, gradient_as_bucket_view=True), Clock()
    rates = [(model.decoder, LR), (model.codes, CODE_LR)]
    groups = [{"params": list(part.parameters()), "lr": rate} for part, rate in rates]
    adam, sampler = torch.optim.Adam(groups, fused=True), NearSurface(0.05, 1.4)
    for number, batch in enumerate(list(batches(num_shapes, args, steps))):
        samples = samples_of_visits(sampler, batch.scan, 0, [n for _, n in batch.step.visits])
        adam.zero_grad()
        loss = ranks(samples, batch.scan.index)
        loss.backward()
        adam.step()
        if number < WARM:
            dist.all_reduce(loss.detach())
        clock.tick(loss.item() / args.ranks)
    return clock.found()


def bytes_sent():
    """By all processes of this machine, to each other."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (line,) = (line for line in lines if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


def be_a_rank(args):
    """One rank of one contender; what it found goes to a file of its own."""
    dist.init_process_group("gloo")
    train = {"ours": train_ours, "dense": train_dense}[args.rank_of]
    found = train(args.shapes[0], args, args.steps, args.out)
    found["memory"] = largest_memory()
    Path(args.out, f"{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def launch(name, num_shapes, args, folder):
    """A training by ``name``; what rank 0 found, with the memory of the largest rank."""
    most = {"ours": args.steps, "dense": max(2, min(args.steps, 4_000_000 // num_shapes))}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={args.ranks}", __file__, f"--rank-of={name}", f"--out={folder}"]
    command += [f"--shapes={num_shapes}", f"--steps={WARM + most[name] + 1}"]
    same = ("ranks", "batch", "points", "width", "depth")
    command += [f"--{option}={getattr(args, option)}" for option in same]
    alone = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, env={**os.environ, **alone}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} with {num_shapes} shapes failed:\n{done.stderr}")
    ranks = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(args.ranks)]
    return ranks[0] | {"memory": max(rank["memory"] for rank in ranks)}


def by_formula(name, num_shapes, num_weights, args):
    """Bytes that a rank sends a step."""
    rows = args.batch * (4 * LATENT + 8)
    reduced = num_weights + (num_shapes * LATENT if name == "dense" else 0)
    gathered = rows * (args.ranks - 1) if name == "ours" else 0
    return round(2 * (args.ranks - 1) / args.ranks * 4 * reduced + gathered)


def check_memory(num_shapes, args):
    needed = args.ranks * (DENSE_TABLES * 4 * LATENT * num_shapes / 2**30 + 0.5)
    free = free_memory(torch.device("cpu")) / 2**30
    if needed > free:
        sys.exit(f"{num_shapes} shapes need {needed:.0f} GiB, {free:.0f} GiB are free")


def check_losses(found):
    """Both contenders compute the same."""
    ours, dense = (torch.tensor([run["losses"] for run in found[name]]) for name in NAMES)
    torch.testing.assert_close(ours, dense, rtol=1e-4, atol=0)
    return float(f"{((ours - dense) / dense).abs().max():.1e}")


def measure(num_shapes, args):
    """One row of the table."""
    check_memory(num_shapes, args)
    found = {name: [] for name in NAMES}
    for _ in range(args.rounds):
        for name in NAMES:
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(launch(name, num_shapes, args, folder))
    num_weights = sum(p.numel() for p in decoder_of(args).parameters())

    def of(name, key):
        return [value for run in found[name] for value in run[key]]

    seconds = {name: median(of(name, "seconds")) for name in NAMES}
    sent = {name: median(of(name, "bytes")) / args.ranks for name in NAMES}
    waits = {key: [s for run in found["ours"] for s in run["waits"][key]] for key in WAITS}
    return {
        "shapes": num_shapes,
        "steps": {name: len(of(name, "seconds")) for name in NAMES},
        "losses differ by": check_losses(found),
        "seconds": {name: float(f"{value:.3g}") for name, value in seconds.items()},
        "spread": {name: spread(of(name, "seconds")) for name in NAMES},
        "times faster": float(f"{seconds['dense'] / seconds['ours']:.3g}"),
        "bytes": {name: round(value) for name, value in sent.items()},
        "by formula": {n: by_formula(n, num_shapes, num_weights, args) for n in NAMES},
        "times fewer": float(f"{sent['dense'] / sent['ours']:.3g}"),
        "memory, MiB": {n: round(max(run["memory"] for run in found[n])) for n in NAMES},
        "waits, ms": {key: round(1e3 * median(values), 3) for key, values in waits.items()},
    }


def spread(values):
    """The first and the last tenth."""
    ordered = sorted(values)
    return [float(f"{ordered[int(at * (len(ordered) - 1))]:.3g}") for at in (0.1, 0.9)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, nargs="+", default=[1000, 40_000, 1_000_000])
    numbers = {"rounds": 3, "steps": 40, "ranks": 2, "batch": 4, "points": 64}
    for name, value in {**numbers, "width": 128, "depth": 4}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rank-of", choices=NAMES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank_of:
        be_a_rank(args)
        return
    full = sum(p.numel() for p in SkipMLP(LATENT).parameters())
    rows = [{"step of the full decoder (8x512), bytes": by_formula("ours", 0, full, args)}]
    print(json.dumps(rows[0]), flush=True)
    for num_shapes in args.shapes:
        rows.append(measure(num_shapes, args))
        print(json.dumps(rows[-1]), flush=True)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
