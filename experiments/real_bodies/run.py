"""Train on registrations, reconstruct raw scans of sequences that were and were not trained on.

    python experiments/real_bodies/run.py DATA OUT [--config configs/bodies-cpu.yaml] [fit options]

DATA is a folder in the D-FAUST layout: registrations_{m,f}.hdf5, scans/, frames.csv. A frame has
one name, as registration and as raw scan; codes are of registrations, reconstructions of raw scans.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import trimesh

from shapespace.config.options import FitOptions
from shapespace.evaluation.compare import scores_of
from shapespace.evaluation.scores import write_csv
from shapespace.evaluation.tables import DISTANCES, MESH, short_table
from shapespace.geometry.proximity import point_to_mesh
from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image
from shapespace.space import TrainedSpace
from shapespace.training.cli import train

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bodies import held_out, read_frames, reconstructed, registration, stored

NUM_TRAIN_SHOWN = 40
WORST_SHOWN = 0.03


def scores_of_row(row, mesh):
    return scores_of(row["name"], mesh, {"registration": registration(row)})


def evaluate_train(space, rows, resolution):
    chosen = rows[:: max(1, len(rows) // NUM_TRAIN_SHOWN)][:NUM_TRAIN_SHOWN]
    all_scores = []
    for row in chosen:
        name = row["name"]
        mesh = space.mesh(space.code(name), space.frame(name), resolution)
        all_scores.append(scores_of_row(row, mesh))
    return all_scores


def evaluate_scans(space_path, rows, data, out, options):
    start = time.perf_counter()
    by_name = reconstructed(space_path, data, rows, out, *options)
    seconds = (time.perf_counter() - start) / len(by_name)
    all_scores = [scores_of_row(row, by_name[row["name"]].mesh) for row in rows]
    return all_scores, by_name, seconds


def draw(rows, by_name, data, path):
    scans, meshes, errors = [], [], []
    for row in rows:
        mesh = by_name[row["name"]].mesh
        error = point_to_mesh(mesh.vertices, registration(row))
        raw = trimesh.load_mesh(data / row["scan"], process=False)
        scans.append(Figure(raw, GREY))
        meshes.append(Figure(mesh))
        label = f"{row['subject']} {row['sequence']}"
        colours = colour_map(error, 0, WORST_SHOWN)
        errors.append(Figure(mesh, label=label, vertex_colors=colours))
    save_image(render_grid([scans, meshes, errors], height=260), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", default="configs/bodies-cpu.yaml")
    parser.add_argument("--method", default="second-order")
    parser.add_argument("--steps", type=int, default=800, help="of adam-published")
    parser.add_argument("--num-points", type=int, default=16384)
    parser.add_argument("--resolution", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    args, fit_options = parser.parse_known_args()
    rows = read_frames(args.data)
    unseen = held_out(rows)
    train_rows = [row for row in rows if row["sequence_name"] not in unseen]
    scanned = [row for row in rows if row["scan"]]
    store = stored(args.data, args.out / "train.hdf5", train_rows, args.seed)
    start = time.perf_counter()
    checkpoint = train(
        [
            f"--config={args.config}",
            f"--data.store={store}",
            f"--trainer.default_root_dir={args.out / 'run'}",
            f"--seed_everything={args.seed}",
            f"--model.seed={args.seed}",
            f"--data.seed={args.seed}",
            *fit_options,
        ]
    )
    facts = {"seconds_of_this_fit_call": round(time.perf_counter() - start, 1)}
    how = FitOptions(
        args.method, num_points=args.num_points, steps=args.steps, seed=args.seed, detail="none"
    )
    options = how, args.resolution
    space = TrainedSpace.load(checkpoint)
    trained = evaluate_train(space, train_rows, args.resolution)
    groups = {"training frames, own codes": trained}
    for title, chosen in (
        ("raw scans, trained sequence", [r for r in scanned if r["sequence_name"] not in unseen]),
        ("raw scans, unseen sequence", [r for r in scanned if r["sequence_name"] in unseen]),
    ):
        folder = args.out / title.replace(", ", "_").replace(" ", "_")
        groups[title], by_name, seconds = evaluate_scans(
            checkpoint, chosen, args.data, folder, options
        )
        facts[f"seconds per scan, {title}"] = round(seconds, 1)
        draw(chosen, by_name, args.data, args.out / f"{folder.name}.png")
    for title, all_scores in groups.items():
        print(f"\n{title}\n{short_table(all_scores, (*DISTANCES, *MESH))}")
        write_csv(all_scores, args.out / f"{title.replace(', ', '_').replace(' ', '_')}.csv")
        chamfers = [item.value("registration", "chamfer_half_unsquared") for item in all_scores]
        chamfers = 1000 * np.array(chamfers)
        facts[f"chamfer mm, {title}"] = {
            "median": round(float(np.median(chamfers)), 2),
            "5%": round(float(np.percentile(chamfers, 5)), 2),
            "95%": round(float(np.percentile(chamfers, 95)), 2),
            "scans": len(chamfers),
        }
    (args.out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
