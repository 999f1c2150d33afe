"""Which levers of a training give hands, faces and held-out shapes, at equal CPU time?

    python experiments/detail/run.py DATA --out OUT [--levers NAME ...] [--seeds 0 1]

DATA is a folder in the D-FAUST layout, ten people and ten motions. Seed s trains on a sixth of the
frames of fold s of experiments/unseen_scans, which leaves out two people and two motions. A lever
changes one thing of ``bodies-cpu``. Its step is timed against that of the recipe, both in turn; it
then gets as many steps as take the time of ``--steps`` steps of the recipe, so that the load of
the machine does not decide. Measured are meshes of training frames by their own codes, and of raw
scans of left-out people and motions by fitted codes alone. Writes OUT/results.csv, a row a shape,
as soon as it is measured, and OUT/LEVER_SEED.npz; what is there is not made again.
"""

import argparse
import csv
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree

from shapespace.bending.penalty import penalty_of
from shapespace.codes import LatentCodes
from shapespace.config.options import FitOptions
from shapespace.data.copies import CopyOptions, Points
from shapespace.data.names import subjects_of
from shapespace.data.prepare.curvature import chosen_by_curvature
from shapespace.data.sources import find_sources
from shapespace.data.store.store import ScanStore
from shapespace.decoders import GridMLP, PositionalMLP, SkipMLP
from shapespace.encoders.factors import FactorCodes
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.geometry.components import components, largest_component
from shapespace.geometry.proximity import nearest_triangles
from shapespace.objectives import IGR
from shapespace.reconstruction.inputs import prepare_for
from shapespace.reconstruction.method import fit_scans
from shapespace.sampling import NearSurface, seeded_generator
from shapespace.scan import Scan
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.training.optimisers import code_optimiser, decoder_optimisers
from shapespace.utils.schedules import RunProgress, cosine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies
from unseen_scans.run import FOLDS, groups_of, parts_of

DECODERS = {"mlp": SkipMLP, "waves": PositionalMLP, "grid": GridMLP}
POOL = 20_000
"""Points of a scan that a training draws from."""
NUM_SAMPLES = 20_000
EVERY = 32
"""Visits of which one has a bending penalty."""
DECAY = 0.98
"""Of averaged weights."""
EXTENT, LENGTH = 1.4, 64


@dataclass(frozen=True)
class Lever:
    """A training; the defaults are ``bodies-cpu`` in mixed precision."""

    decoder: str = "mlp"
    network: dict = field(default_factory=lambda: {"width": 256, "depth": 6, "skip": 3})
    latent_size: int = LENGTH
    scans: int = 8
    points: int = 512
    sigma: tuple[float, float] = (0.05, 0.05)
    curved: float = 0.0
    """Weight of the bend of the surface in the density of the points."""
    linear: float = 0.0
    """Root mean square length of codes that begin as those of a linear model; 0 for zero codes."""
    averaged: bool = False
    """Measure the running mean of the weights, of a training that is otherwise the recipe's."""
    code_lr: float = 1e-2
    matrix_lr: float = 1e-2
    latent: float = 1e-3
    normal: float = 1.0
    eikonal: float = 0.1
    identity_size: int = 0
    copies: CopyOptions = CopyOptions()
    bending: float = 0.0
    """Weight of the bending penalty, which rises to it between a fifth and a half of the run."""


BASE = Lever()


def network(**changes):
    return {**BASE.network, **changes}


LEVERS = {
    "recipe": BASE,
    "linear codes": replace(BASE, linear=1.0),
    "curved 1": replace(BASE, curved=1.0),
    "4 scans of 1024": replace(BASE, scans=4, points=1024),
    "16 scans of 256": replace(BASE, scans=16, points=256),
    "sigma 0.05 to 0.01": replace(BASE, sigma=(0.05, 0.01)),
    "code 128": replace(BASE, latent_size=128),
    "width 384": replace(BASE, network=network(width=384)),
    "code rate 3e-2": replace(BASE, code_lr=3e-2),
    "bending 0.003": replace(BASE, bending=0.003),
    "averaged weights": replace(BASE, averaged=True),
    "mirror": replace(BASE, copies=CopyOptions(mirror="x")),
    "identity 16": replace(BASE, identity_size=16),
    "8 layers": replace(BASE, network=network(depth=8, skip=4)),
    "normals 2": replace(BASE, normal=2.0),
    "waves": replace(BASE, decoder="waves", network=network(octaves=3, base=4.0)),
    "warps": replace(BASE, copies=CopyOptions(warps=1)),
    "code penalty 1e-4": replace(BASE, latent=1e-4),
    "code penalty 1e-2": replace(BASE, latent=1e-2),
    "4 layers": replace(BASE, network=network(depth=4, skip=2)),
    "grid": replace(
        BASE, decoder="grid", network=network(levels=3, cells=8, features=2, extent=EXTENT)
    ),
}


@dataclass
class Pool:
    """Points of the shapes that are trained on, in memory."""

    names: tuple[str, ...]
    frames: list
    points: torch.Tensor
    normals: torch.Tensor

    def __len__(self):
        return len(self.names)


def pool_of(store, names, lever, seed):
    """Points of each shape, denser where the surface bends if the lever says so."""
    rng = np.random.default_rng(seed)
    shapes = lever.copies.of(names)
    parts = {name: drawn(store[name], lever.curved, rng) for name in names}
    made = [lever.copies.applied(shape, Points(*parts[shape.source], None), 0) for shape in shapes]
    return Pool(
        tuple(shape.name for shape in shapes),
        [store.frame(shape.source) for shape in shapes],
        torch.from_numpy(np.stack([part.points for part in made])),
        torch.from_numpy(np.stack([part.normals for part in made])),
    )


def drawn(scan, curved, rng):
    """POOL points of a scan and their normals, in random order."""
    surface = scan.points.astype(np.float64), scan.normals.astype(np.float64)
    rows = chosen_by_curvature(*surface, weight=curved, count=POOL, rng=rng)
    return scan.points[rows], scan.normals[rows]


def linear_codes(pool, length, size, cells=24, cut=0.1):
    """Codes of a linear model of truncated signed distances on a coarse grid, as a table.

    The components keep the square root of their standard deviations: the first ones would be all
    that the decoder sees otherwise. ``size`` is the root mean square length of a code.
    """
    axis = np.linspace(-EXTENT, EXTENT, cells + 1)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    rows = []
    for points, normals in zip(pool.points.numpy(), pool.normals.numpy(), strict=True):
        gap, nearest = KDTree(points[:4000]).query(nodes, distance_upper_bound=cut)
        far = np.isinf(gap)
        at = np.where(far, 0, nearest)
        side = ((nodes - points[at]) * normals[at]).sum(1)
        rows.append(np.where(far, cut, np.sign(side) * np.where(far, cut, gap)))
    grids = np.array(rows)
    grids -= grids.mean(0)
    left, singular, _ = np.linalg.svd(grids, full_matrices=False)
    codes = (left * np.sqrt(singular))[:, :length]
    codes = np.pad(codes, ((0, 0), (0, length - codes.shape[1])))
    codes *= size / np.sqrt(np.square(codes).sum(1).mean())
    return torch.from_numpy(codes).float()


class Training:
    """One training, a step at a time."""

    def __init__(self, lever, pool, seed, steps):
        self.lever, self.pool, self.seed, self.steps, self.step = lever, pool, seed, steps, 0
        torch.manual_seed(seed)
        self.decoder = DECODERS[lever.decoder](
            lever.latent_size, zero_latent_columns=lever.linear > 0, **lever.network
        )
        self.decoder.precision = "mixed"
        self.codes = self.table()
        self.objective = IGR(lever.normal, lever.eikonal, lever.latent)
        self.optimisers = [
            *decoder_optimisers(self.decoder.parameters(), "muon", 2e-3, lever.matrix_lr),
            code_optimiser(self.codes.learnt, "rows", lever.code_lr),
        ]
        self.starts = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]
        self.average = {k: v.clone() for k, v in self.decoder.state_dict().items()}
        self.order = self.visits()
        weight = f"linear 0 {lever.bending} from 0.2 to 0.5" if lever.bending else 0.0
        self.penalty = penalty_of(weight, EVERY, seed=seed, decoder=self.decoder)

    def table(self):
        lever, pool = self.lever, self.pool
        size = len(pool), lever.latent_size
        if lever.identity_size:
            codes = FactorCodes(*size, lever.identity_size, subjects_of, seed=self.seed)
        else:
            codes = LatentCodes(*size, seed=self.seed)
        codes.assign(pool.names, pool.frames)
        if lever.linear:
            with torch.no_grad():
                codes.table.weight.copy_(linear_codes(pool, lever.latent_size, lever.linear))
        return codes

    def visits(self):
        epoch = 0
        while True:
            generator = seeded_generator("cpu", self.seed, epoch)
            yield from torch.randperm(len(self.pool), generator=generator).tolist()
            epoch += 1

    def one_step(self):
        lever, done = self.lever, (self.step + 0.5) / self.steps
        for optimiser, start in zip(self.optimisers, self.starts, strict=True):
            optimiser.param_groups[0]["lr"] = max(start * cosine(done, 0.02), 5e-6)
            optimiser.zero_grad()
        generator = seeded_generator("cpu", self.seed, self.step)
        index = torch.tensor([next(self.order) for _ in range(lever.scans)])
        chosen = torch.randint(POOL, (lever.scans, lever.points), generator=generator)
        rows = index[:, None]
        scan = Scan(index, self.pool.points[rows, chosen], self.pool.normals[rows, chosen], None)
        sigma = lever.sigma[0] ** (1 - done) * lever.sigma[1] ** done
        samples = NearSurface(sigma, EXTENT)(scan, generator)
        at_once = max(1, 1024 // lever.points)
        for start in range(0, lever.scans, at_once):
            part = slice(start, start + at_once)
            terms = self.objective.terms(self.decoder, samples[part], self.codes(index[part]))
            (self.objective.total(terms).sum() / lever.scans).backward()
        if self.penalty is not None:
            self.bend(scan, RunProgress(done))
        first = self.codes.learnt[0].grad
        for optimiser in self.optimisers:
            optimiser.step()
        self.codes.settle(first.coalesce().indices()[0], lambda x: x)
        self.step += 1
        decay = min(DECAY, self.step / (self.step + 10))
        for name, value in self.decoder.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)

    def bend(self, scan, progress):
        """The gradient of the bending penalty, as ``ShapeSpace`` adds it."""
        count = self.lever.scans
        first = self.step * count
        self.penalty.of_step(
            self.decoder,
            self.codes.table.weight,
            visits=[(row, first + number) for number, row in enumerate(scan.index.tolist())],
            weights=[1 / count] * count,
            points=scan.points,
            extent=EXTENT,
            progress=progress,
            backward=torch.Tensor.backward,
        )

    def state(self):
        """Weights, their running mean and codes as arrays."""
        table = {"table": self.codes.table.weight.detach().numpy()}
        kinds = {"decoder": self.decoder.state_dict(), "average": self.average}
        return table | {
            f"{kind}/{name}": value.numpy()
            for kind, values in kinds.items()
            for name, value in values.items()
        }


def cost(lever, pool, seed, rounds=2):
    """CPU time of the steps of a lever over that of the recipe's steps, in turn.

    A round is of as many steps as there are between two bending penalties.
    """
    names, frames, points, normals = vars(pool).values()
    small = Pool(names[:64], frames[:64], points[:64], normals[:64])
    pair = [Training(each, small, seed, 1000) for each in (BASE, plain(lever))]
    for training in pair:
        # Where all codes are the same nothing bends, and the penalty costs nothing.
        torch.nn.init.normal_(training.codes.table.weight.data, 0.0, 0.03)
    spent = [0.0, 0.0]
    for number in range(rounds * EVERY // BASE.scans):
        for which, training in enumerate(pair):
            # The penalty is on from the middle of the run.
            training.step = 600 + number
            start = time.process_time()
            training.one_step()
            spent[which] += time.process_time() - start
    return spent[1] / spent[0]


def plain(lever):
    """The lever without what takes time before the first step alone."""
    return replace(lever, linear=0.0, identity_size=0)


def space_of(lever, pool, state):
    """The space of a training."""
    network = {"zero_latent_columns": lever.linear > 0, **lever.network}
    decoder = DECODERS[lever.decoder](lever.latent_size, **network)
    kind = "average/" if lever.averaged else "decoder/"
    weights = {k.removeprefix(kind): torch.from_numpy(v) for k, v in state.items() if kind in k}
    decoder.load_state_dict(weights)
    codes = LatentCodes(len(pool), lever.latent_size)
    codes.assign(pool.names, pool.frames)
    with torch.no_grad():
        codes.table.weight.copy_(torch.from_numpy(state["table"]))
    decoder.eval().requires_grad_(False)
    objective = IGR(lever.normal, lever.eikonal, lever.latent)
    return TrainedSpace(decoder, codes, objective, NearSurface(lever.sigma[0], EXTENT))


def shape_errors(mesh, truth, parts):
    """Mean exact distance both ways in mm, of parts too, and the angle of the hands' normals."""
    own, true = (SampledSurface.of_mesh(each, NUM_SAMPLES) for each in (mesh, truth))
    to, place, _ = nearest_triangles(own.points, truth)
    back, _, triangle = nearest_triangles(true.points, mesh)
    nearest = KDTree(truth.vertices).query(place)[1]
    found = {"whole": 500 * (to.mean() + back.mean())}
    for name, vertices in parts.items():
        here, there = vertices[nearest], vertices[truth.faces[true.triangles]].all(1)
        sides = [to[here].mean() if here.any() else back[there].mean(), back[there].mean()]
        found[name] = 500 * sum(sides)
    hands = parts["hands"][truth.faces[true.triangles]].all(1)
    cosine_ = (truth.face_normals[true.triangles] * mesh.face_normals[triangle]).sum(1)[hands]
    found["hand degrees"] = float(np.degrees(np.arccos(np.clip(cosine_, -1, 1))).mean())
    return found


def measured(space, data, frames, groups, args):
    """A row for each shape."""
    shown = [row for row in groups["train"] if row["name"] in set(space.names)]
    shown = shown[:: max(1, len(shown) // args.shown)][: args.shown]
    for row in shown:
        code = space.code(row["name"])
        yield row, "own code", code, space.frame(row["name"]), None, parts_of(frames, row)
    for kind in ("new person", "new motion"):
        rows = groups[kind][:: max(1, len(groups[kind]) // args.scans)][: args.scans]
        sources = find_sources(data / "scans", [row["name"] for row in rows])
        scans = [prepare_for(space, s, unit="m", seed=0, num_points=3000) for s in sources]
        found = fit_scans(FitOptions(detail="none"), space, scans)
        for number, (row, scan) in enumerate(zip(rows, scans, strict=True)):
            pose = found.poses.rows(torch.tensor([number]))
            yield row, kind, found.codes[number], scan.frame, pose, parts_of(frames, row)


def rows_of(space, data, frames, groups, args):
    for row, kind, code, frame, pose, parts in measured(space, data, frames, groups, args):
        if pose is None:
            whole = extract_mesh(
                space.decoder, code, args.resolution, EXTENT, frame=frame, largest_only=False
            )
            mesh, loose = largest_component(whole), components(whole)[0]
        else:
            mesh, loose = space.mesh(code, frame, args.resolution, pose=pose), ""
        truth = bodies.registration(row)
        yield {
            "split": kind,
            "scan": row["name"],
            **{k: f"{v:.4g}" for k, v in shape_errors(mesh, truth, parts).items()},
            "volume": f"{mesh.volume / truth.volume:.4f}",
            "parts": loose,
        }


def one(name, seed, args, frames):
    """Train a lever, unless that is done, and measure it."""
    lever = LEVERS[name]
    trained = "recipe" if lever.averaged else name
    path = args.out / f"{trained.replace(' ', '_')}_{seed}.npz"
    groups = groups_of(frames, seed % len(FOLDS))
    groups["train"] = groups["train"][:: args.every]
    store = bodies.stored(args.data, args.out / f"train{seed % len(FOLDS)}.hdf5", groups["train"])
    names = tuple(row["name"] for row in groups["train"])
    pool = pool_of(ScanStore(store), names, lever, seed)
    if not path.exists():
        ratio = 1.0 if name == "recipe" else cost(lever, pool, seed)
        steps = round(args.steps / ratio)
        start = time.process_time()
        training = Training(lever, pool, seed, steps)
        for _ in range(steps):
            training.one_step()
        facts = {
            "steps": steps,
            "cost": f"{ratio:.3f}",
            "cpu_seconds": f"{time.process_time() - start:.1f}",
        }
        np.savez(path, facts=json.dumps(facts), **training.state())
    state = dict(np.load(path))
    about = {"lever": name, "seed": seed, **json.loads(str(state["facts"]))}
    space = space_of(lever, pool, state)
    rows = []
    for row in rows_of(space, args.data, frames, groups, args):
        rows.append({**about, **row})
    return rows


def table(results):
    """A line a lever: medians of each seed, seeds apart by a slash."""
    columns = ("whole", "hands", "feet", "head", "hand degrees")
    kinds = {"own code": columns, "new person": columns[:2], "new motion": columns[:2]}
    heads = [f"{kind}: {column}" for kind, chosen in kinds.items() for column in chosen]
    yield f"| lever | steps | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 2) + "|"
    for lever in dict.fromkeys(row["lever"] for row in results):
        mine = [row for row in results if row["lever"] == lever]
        seeds = list(dict.fromkeys(row["seed"] for row in mine))
        cells = []
        for kind, chosen in kinds.items():
            for column in chosen:
                each = [
                    [
                        float(row[column])
                        for row in mine
                        if (row["seed"], row["split"]) == (seed, kind)
                    ]
                    for seed in seeds
                ]
                cells.append(" / ".join(f"{np.median(values):.1f}" for values in each))
        steps = " / ".join(next(row["steps"] for row in mine if row["seed"] == s) for s in seeds)
        yield f"| {lever} | {steps} | {' | '.join(cells)} |"


def read(path):
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/detail"))
    parser.add_argument("--levers", nargs="+", default=list(LEVERS), choices=list(LEVERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--every", type=int, default=6, help="of the frames of a fold one is used")
    parser.add_argument("--steps", type=int, default=220, help="of the recipe")
    parser.add_argument("--shown", type=int, default=6, help="training frames that are measured")
    parser.add_argument("--scans", type=int, default=2, help="raw scans of each kind")
    parser.add_argument("--resolution", type=int, default=96)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    frames = bodies.read_frames(args.data)
    path = args.out / "results.csv"
    for name in args.levers:
        for seed in args.seeds:
            results = read(path)
            if any((row["lever"], row["seed"]) == (name, str(seed)) for row in results):
                continue
            results += one(name, seed, args, frames)
            bodies.write_rows([{k: str(v) for k, v in row.items()} for row in results], path)
            print("\n".join(table(read(path))), flush=True)


if __name__ == "__main__":
    main()
