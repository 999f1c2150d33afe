"""What is proved of IGR's loss against what is computed: plane, initialisation, distances, curves.

    python experiments/theory/run.py OUT [--seeds 5] [--steps 1500] [--parts linear plane ...]

Writes for every part OUT/PART.csv (setting, seed, step, quantity, value) and pictures, and prints a
table: mean +- standard deviation over the seeds (least to most).
"""

import argparse
import csv
import time
from functools import partial
from itertools import product
from pathlib import Path

import figures
import linear
import numpy as np
import torch
from counterexamples import FIELDS
from counterexamples import measured as measured_on_a_line
from networks import EXTENT, evaluated, network, scan_of, trained
from shapes import CURVES, measured, rms, sparse_points

from shapespace.decoders import SkipMLP

COLUMNS = ("setting", "seed", "step", "quantity", "value")
NOISES = (0.0, 0.1)
STEPS = {
    "deck": [(0.05, 2000)],
    "norm": [(0.05, 2000)],
    "absolute": [(0.1, 300), (0.01, 300), (0.001, 300), (0.0001, 300)],
    "normals": [(0.05, 300), (0.005, 300), (0.0005, 300), (0.00005, 300)],
    "deck, sum": [(2.5e-3, 8000)],
}
"""Rates of the descent and how many steps each."""
WIDE = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
SPREADS = dict.fromkeys(STEPS, WIDE) | {"deck, sum": (0.0, 0.005, 0.01, 0.02)}
STARTS = ("sphere", "plain")
SETTINGS = {"with normals": True, "without": False}


def linear_part(args):
    """Descent from 20 random starts on 1000 points of the plane, against the closed forms."""
    dots = {form: [] for form in figures.LAWS}
    for form, seed in product(figures.LAWS, range(args.seeds)):
        for sigma in SPREADS[form]:
            points = linear.plane_points(1000, sigma, seed)
            loss, exact = loss_and_slope(form, points)
            ends = torch.randn(20, 3, generator=torch.Generator().manual_seed(seed)).double()
            for rate, steps in STEPS[form]:
                ends = linear.descend(loss, ends, rate, steps)
            slope, row = ends.norm(dim=-1), ("linear", f"{form}, sigma {sigma}", seed, 0)
            yield (*row, "slope", slope.mean().item())
            yield (*row, "closed form", exact)
            yield (*row, "worst start", (slope - exact).abs().max().item())
            if not seed:
                dots[form].append((sigma, slope.mean().item()))
    figures.slopes_of_the_plane(dots, args.out / "linear.png")


def loss_and_slope(form, points):
    """The loss of rows of w, and the length of its minimum by the closed form."""
    moment = linear.second_moment(points, "sum" if form == "deck, sum" else "mean")
    values, vectors = torch.linalg.eigh(moment)
    if form.startswith("deck"):
        return partial(linear.deck_loss, moment=moment), linear.deck_slope(values[0].item())
    if form == "norm":
        return partial(linear.norm_loss, moment=moment), linear.norm_slope(values[0].item())
    deviation = (points @ vectors[:, 0]).abs().mean().item()
    if form == "absolute":
        return partial(linear.absolute_loss, points=points), linear.absolute_slope(deviation)
    loss = partial(linear.absolute_loss, points=points, normal=torch.eye(3).double()[2])
    return loss, linear.absolute_slope(deviation, tau=linear.TAU)


def line_part(args):
    """Fields on a line that have no loss."""
    for name, (kind, has_normals) in product(FIELDS, SETTINGS.items()):
        for quantity, value in measured_on_a_line(FIELDS[name], has_normals).items():
            yield "line", f"{name}, {kind}", 0, 0, quantity, value


def initialisation_part(args):
    """f and |grad f| of the full network before training, means over 500 directions."""
    radii = np.array([0.01, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5])
    found = {"value": [], "slope": []}
    for seed, (size, norm) in product(
        range(4 * args.seeds), ((0, 0), (256, 0), (256, 0.06), (256, 1))
    ):
        torch.manual_seed(seed)
        decoder = SkipMLP(size)
        directions = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1)
        code = torch.nn.functional.normalize(torch.randn(1, size), dim=-1) * norm
        setting = f"code length {size}, norm {norm}"
        for radius in radii:
            with torch.no_grad():
                f, g = decoder.value_and_gradient(float(radius) * directions[None], code)
            numbers = {"value": f.mean().item(), "slope": g.norm(dim=-1).mean().item()}
            for name, value in numbers.items():
                yield "initialisation", setting, seed, 0, f"{name} at {radius:g}", value
                if not size:
                    found[name].append(value)
            if radius == 1:
                spread = f.std().item()
                yield "initialisation", setting, seed, 0, "spread over the unit sphere", spread
    values, slopes = (np.reshape(found[name], (-1, len(radii))) for name in ("value", "slope"))
    figures.initialisation(radii, values, slopes, args.out / "initialisation.png")


def plane_part(args):
    """A network on 300 points of a square of side 2, seen to 1.5 times as far."""
    axis, slices = np.linspace(-EXTENT, EXTENT, 81), {}
    x, z = np.meshgrid(axis, axis)
    plane = np.stack([x, 0 * x, z], -1).reshape(-1, 3)
    for (kind, has_normals), start, sigma in product(SETTINGS.items(), STARTS, NOISES):
        for seed in range(args.seeds):
            points = linear.plane_points(300, sigma, seed)
            normals = torch.tensor([0.0, 0.0, 1.0]).expand(300, 3) if has_normals else None
            decoder = network(3, seed, start, width=64)
            (step,) = trained(decoder, scan_of(points, normals), seed, [args.steps], uniform=1.0)
            for quantity, value in of_the_plane(decoder).items():
                yield "plane", f"{kind}, {start} start, sigma {sigma}", seed, step, quantity, value
            if not seed:
                label = f"{kind}, {start} start, noise {sigma:g}"
                slices[label] = evaluated(decoder, plane)[0].reshape(81, 81)
    figures.plane_slices(slices, EXTENT, args.out / "plane.png")


def of_the_plane(decoder):
    """How near a field is to z, up to its sign: numbers by quantity."""
    flat = np.random.default_rng(0).uniform(-1, 1, (2000, 3)) * [1, 1, 0]
    places = np.random.default_rng(1).uniform(-EXTENT, EXTENT, (5000, 3))
    (f, slope), (far, far_slope) = evaluated(decoder, flat), evaluated(decoder, places)
    above, below = (evaluated(decoder, flat + np.array([0, 0, 0.3 * side]))[0] for side in (1, -1))
    z = places[:, 2] * (np.sign((above - below).sum()) or 1.0)
    return {
        "mean abs f on the plane": np.abs(f).mean(),
        "largest abs f on the plane": np.abs(f).max(),
        "slope on the plane": np.linalg.norm(slope, axis=1).mean(),
        "rise from z = -0.3 to 0.3, over 0.6": np.abs(above - below).mean() / 0.6,
        "slope in the box": np.linalg.norm(far_slope, axis=1).mean(),
        "error to z, abs z < 0.5": rms((far - z)[np.abs(z) < 0.5]),
        "error to z in the box": rms(far - z),
        "right side in the box": np.mean(far * z > 0),
    }


def curves_part(args):
    """Sparse points of two curves: zero set over the steps, and the spread over the seeds."""
    marks = sorted({0, *(int(args.steps * part) for part in (0.02, 0.05, 0.1, 0.2, 0.5, 1))})
    rows, frames = [], {}
    for name, (kind, has_normals) in product(CURVES, SETTINGS.items()):
        points, normals = sparse_points(name)
        scan, ends, setting = (
            scan_of(points, normals if has_normals else None),
            [],
            f"{name}, {kind}",
        )
        for seed in range(args.seeds):
            decoder = network(2, seed)
            for step in trained(decoder, scan, seed, marks, uniform=10.0):
                values, numbers = measured(decoder, name)
                rows += [("curves", setting, seed, step, *item) for item in numbers.items()]
                if not seed:
                    frames.setdefault(name, {}).setdefault(kind, {})[step] = values
            ends.append(values)
        spread = np.std(ends, axis=0).mean() if len(ends) > 1 else 0.0
        rows.append(("curves", setting, -1, marks[-1], "spread of f over the seeds", spread))
    yield from rows
    chosen = [marks[i] for i in (0, 1, 3, len(marks) - 1)] if len(marks) > 4 else marks
    for name, by_kind in frames.items():
        shown = {k: {s: v for s, v in f.items() if s in chosen} for k, f in by_kind.items()}
        figures.learning(shown, name, args.out / f"{name}.png")
    figures.over_steps(rows, list(CURVES), args.out / "steps.png")


PARTS = {
    "linear": linear_part,
    "line": line_part,
    "initialisation": initialisation_part,
    "plane": plane_part,
    "curves": curves_part,
}


def table(rows):
    """Lines of Markdown: the last step of every setting, over the seeds."""
    groups, last = {}, {}
    for _, setting, _, step, _, _ in rows:
        last[setting] = max(last.get(setting, 0), step)
    for _, setting, _, step, quantity, value in rows:
        if step == last[setting]:
            groups.setdefault((setting, quantity), []).append(value)
    for names, values in groups.items():
        with np.errstate(invalid="ignore"):  # a distance to nothing is infinite
            mean, spread = np.mean(values), np.std(values)
        ends = f"({min(values):.4g} to {max(values):.4g})"
        yield f"| {' | '.join(names)} | {mean:.4g} ± {spread:.2g} {ends} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for part in args.parts:
        start = time.process_time()
        rows = list(PARTS[part](args))
        print(*table(rows), f"{part}: {time.process_time() - start:.0f} CPU seconds", sep="\n")
        with (args.out / f"{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows((*row[1:5], f"{row[5]:.6g}") for row in rows)


if __name__ == "__main__":
    main()
