"""The package's recipe against the published one on real bodies, from training to raw scans.

    python experiments/against_published/run.py DATA --out OUT [--seeds 0 1 2]

DATA is the folder of experiments/real_bodies. Trains on one core: ours, published (`igr-published`)
in no less time, and ours with as many steps as published. Fits 20 raw scans by each recipe's own
method (a minute a fit of theirs: --published-fits says of which seeds), published spaces by ours
too. Measures against the registrations. Finished pieces are kept. Writes OUT/results.csv,
OUT/seconds.csv, OUT/bodies.png, OUT/errors.png.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from shapespace.config.options import FitOptions
from shapespace.evaluation.metrics import chamfer
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.geometry.proximity import point_to_mesh
from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image
from shapespace.space import TrainedSpace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

matplotlib.use("Agg")
HALVINGS = 6
PUBLISHED_RATE = 2e-3
"""Behind 5e-3 in no trial of experiments/time_to_quality."""
SPLITS = ("training frames", "trained sequence", "unseen sequence", "unseen person")
OURS, PUBLISHED, SAME_STEPS = "ours", "published", "ours, as many steps"
THEIR_SPACE = "published, fitted by ours"
COLOURS = {OURS: "#2b6cb0", SAME_STEPS: "#7fb0df", THEIR_SPACE: "#e3b48f", PUBLISHED: "#c8642d"}
NUM_FRAMES, RESOLUTION, WORST_SHOWN = 24, 192, 0.02


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/against_published"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=62, help="of ours")
    parser.add_argument("--published-epochs", type=int, default=30)
    parser.add_argument(
        "--published-fits", type=int, nargs="*", default=[0], help="seeds fitted by theirs too"
    )
    return parser.parse_args()


def recipe(kind, args):
    """Options of a training."""
    epochs = args.epochs if kind == OURS else args.published_epochs
    common = ["--config=configs/bodies-cpu.yaml", f"--trainer.max_epochs={epochs}"]
    common.append("--preview.every=1000")
    if kind != PUBLISHED:
        return [*common, bodies.MIXED]
    return [
        *(common[0], "--config=igr-published", *common[1:], f"--model.lr={PUBLISHED_RATE}"),
        f"--model.halve_every={math.ceil(epochs / (HALVINGS + 1))}",
    ]


def measured(mesh, truth):
    """Chamfer by samples and mean distance by exact distances, both ways, in millimetres."""
    if not len(mesh.faces):
        return {"chamfer_mm": np.inf, "exact_mm": np.inf}
    mine = SampledSurface.of_mesh(mesh).points
    sampled = chamfer(mine, SampledSurface.of_mesh(truth, seed=1).points)
    return {"chamfer_mm": 1000 * sampled, "exact_mm": bodies.both_ways(mesh, truth)}


def frames_by_own_codes(space, rows):
    chosen = rows[:: max(1, len(rows) // NUM_FRAMES)][:NUM_FRAMES]
    for row in chosen:
        code, frame = space.code(row["name"]), space.frame(row["name"])
        yield "training frames", row, space.mesh(code, frame, RESOLUTION)


def raw_scans(checkpoint, data, groups, out, how):
    for split in SPLITS[1:]:
        done = bodies.reconstructed(checkpoint, data, groups[split], out, how, RESOLUTION)
        for row in groups[split]:
            yield split, row, done[row["name"]].mesh


def one_seed(args, seed, groups, store, names):
    """Rows of results, seconds of trainings, and the meshes of the raw scans by method."""
    ours, theirs = (
        FitOptions(seed=seed, detail="none"),
        FitOptions("adam-published", num_points=1024, seed=seed),
    )
    fits = {OURS: {OURS: ours}, SAME_STEPS: {SAME_STEPS: ours}}
    fits[PUBLISHED] = {PUBLISHED: theirs} if seed in args.published_fits else {}
    fits[PUBLISHED] |= {THEIR_SPACE: ours}
    rows, seconds, meshes = [], [], {}
    for kind, methods in fits.items():
        folder = args.out / f"{kind.replace(', ', '_').replace(' ', '_')}_{seed}"
        training = [f"--data.scans={names}", *recipe(kind, args)]
        checkpoint, spent = bodies.trained(store, folder, seed, *training)
        seconds.append({"training": kind, "seed": seed, **spent})
        space = TrainedSpace.load(checkpoint, "cpu")
        found = [(kind, *each) for each in frames_by_own_codes(space, groups["train"])]
        for title, how in methods.items():
            out = folder / ("fits" if how is methods.get(kind) else "fits_by_ours")
            scans = raw_scans(checkpoint, args.data, groups, out, how)
            found += [(title, *each) for each in scans]
        for method, split, row, mesh in found:
            about = {"method": method, "seed": seed, "split": split, "scan": row["name"]}
            rows.append({**about, **measured(mesh, bodies.registration(row))})
            meshes[method, row["name"]] = mesh
    return rows, seconds, meshes


def ratios(rows, split, column, other, seed=0, draws=2000):
    """Median of ``other`` over median of ours, and its 95 % interval by bootstrap over people.

    Only scans that both have; None without them.
    """
    tables = []
    for method in (other, OURS):
        mine = [r for r in rows if r["split"] == split and r["method"] == method]
        tables.append({(r["scan"], r["seed"]): r[column] for r in mine})
    both = sorted(tables[0].keys() & tables[1].keys())
    if not both:
        return None
    values = np.array([[table[key] for table in tables] for key in both])
    people = np.array([scan.split("_")[0] for scan, _ in both])
    names, rng = np.unique(people), np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        chosen = rng.choice(names, len(names))
        sample = np.concatenate([values[people == name] for name in chosen])
        drawn.append(np.median(sample[:, 0]) / np.median(sample[:, 1]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    middle = np.median(values, axis=0)
    return middle[0] / middle[1], low, high


def summary(rows):
    """Lines of a Markdown table: medians of every split and method, and ratios to ours."""
    lines = [
        "| split | method | seeds | Chamfer mm, median (5 to 95 %) | exact | over ours, exact |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for split in SPLITS:
        for method in COLOURS:
            mine = [r for r in rows if (r["split"], r["method"]) == (split, method)]
            if not mine:
                continue
            low, middle, high = np.percentile([r["chamfer_mm"] for r in mine], [5, 50, 95])
            exact = np.median([r["exact_mm"] for r in mine])
            ratio = ratios(rows, split, "exact_mm", method)
            over = "{:.2f} ({:.2f} to {:.2f})".format(*ratio) if method != OURS else ""
            seeds = len({r["seed"] for r in mine})
            cells = f"{middle:.2f} ({low:.2f} to {high:.2f}) | {exact:.2f} | {over}"
            lines.append(f"| {split} | {method} | {seeds} | {cells} |")
    return "\n".join(lines)


def draw_errors(rows, path):
    """Every scan as a dot, each method's median as a line, a panel a split."""
    figure, panels = plt.subplots(1, len(SPLITS), figsize=(13, 3.8), sharey=True)
    rng = np.random.default_rng(0)
    for panel, split in zip(panels, SPLITS, strict=True):
        for place, (method, colour) in enumerate(COLOURS.items()):
            mine = [r for r in rows if (r["split"], r["method"]) == (split, method)]
            values = [r["exact_mm"] for r in mine]
            if not values:
                continue
            spread = place + rng.uniform(-0.22, 0.22, len(values))
            panel.scatter(spread, values, s=9, color=colour, alpha=0.55, linewidth=0)
            middle = float(np.median(values))
            panel.plot([place - 0.36, place + 0.36], [middle] * 2, color=colour, linewidth=2.5)
            panel.text(place, middle * 1.06, f"{middle:.1f}", ha="center", fontsize=9)
        panel.set(title=split, yscale="log", xticks=[])
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("exact distance both ways, mm")
    handles = [plt.Line2D([], [], color=c, linewidth=2.5, label=m) for m, c in COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncol=len(COLOURS), frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path, dpi=110)


def draw_bodies(data, groups, meshes, path):
    """Raw scans of unseen sequences and people, both reconstructions, both errors."""
    chosen = groups["unseen sequence"][1::2] + groups["unseen person"]
    rows = [[Figure(bodies.raw_scan(row, data), GREY) for row in chosen]]
    theirs = PUBLISHED if (PUBLISHED, chosen[0]["name"]) in meshes else THEIR_SPACE
    for method in (OURS, theirs):
        mine = [meshes[method, row["name"]] for row in chosen]
        errors = [
            point_to_mesh(np.asarray(mesh.vertices), bodies.registration(row))
            for mesh, row in zip(mine, chosen, strict=True)
        ]
        rows.append([Figure(mesh) for mesh in mine])
        rows.append(
            [
                Figure(mesh, label=method, vertex_colors=colour_map(error, 0, WORST_SHOWN))
                for mesh, error in zip(mine, errors, strict=True)
            ]
        )
    save_image(render_grid(rows, height=230), path)


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    groups = bodies.splits(bodies.read_frames(args.data))
    store = bodies.stored(args.data, args.out / "train.hdf5", groups["train"])
    names = args.out / "train.txt"
    names.write_text("".join(f"{row['name']}\n" for row in groups["train"]))
    rows, seconds = [], []
    for seed in args.seeds:
        found, spent, meshes = one_seed(args, seed, groups, store, names)
        rows, seconds = rows + found, seconds + spent
        bodies.write_rows(rows, args.out / "results.csv")
        bodies.write_rows(seconds, args.out / "seconds.csv")
        if seed == args.seeds[0]:
            draw_bodies(args.data, groups, meshes, args.out / "bodies.png")
        print(summary(rows), flush=True)
    draw_errors(rows, args.out / "errors.png")


if __name__ == "__main__":
    main()
