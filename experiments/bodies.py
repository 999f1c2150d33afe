"""What the experiments on the real bodies share: frames, splits, trainings, fits.

DATA is a folder in the D-FAUST layout: registrations_{m,f}.hdf5, scans/, frames.csv, subjects.csv.
A frame has one name, as registration and as raw scan.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import trimesh

from shapespace.checkpoint import CHECKPOINT
from shapespace.config.options import FitOptions, MeshOptions
from shapespace.data.formats import dfaust
from shapespace.data.prepare.run import prepare
from shapespace.data.sources import find_sources
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.space import TrainedSpace

ROOT = Path(__file__).resolve().parents[1]
UNSEEN_PEOPLE = ("60009", "60010")
"""The last woman and the last man."""
MIXED = "--model.decoder.init_args.precision=mixed"
ONE_CORE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def read_frames(data):
    with (data / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        sequence = f"{row['subject']}_{row['sequence']}"
        row["file"] = data / f"registrations_{row['sex']}.hdf5"
        row["sequence_name"] = sequence
        row["name"] = f"{sequence}_{row['frame_number'].zfill(6)}"
    return rows


def held_out(rows):
    """The first scanned sequence of each subject."""
    first = {}
    for row in rows:
        if row["scan"]:
            first.setdefault(row["subject"], row["sequence_name"])
    return set(first.values())


def registration(row):
    raw = dfaust.read_frame(row["file"], row["sequence_name"], int(row["registration_column"]))
    return trimesh.Trimesh(raw.vertices, raw.faces, process=False)


def raw_scan(row, data):
    return trimesh.load_mesh(data / row["scan"], process=False)


def splits(rows):
    """Frames to train on, and raw scans by what training saw of them: eight people are trained on.

    Of each of them the first scanned sequence is left out; of the other two people everything.
    """
    unseen = held_out(rows)
    groups = {
        name: [] for name in ("train", "trained sequence", "unseen sequence", "unseen person")
    }
    for row in rows:
        person = row["subject"] in UNSEEN_PEOPLE
        sequence = row["sequence_name"] in unseen
        if not person and not sequence:
            groups["train"].append(row)
        if row["scan"]:
            kind = "unseen person" if person else "unseen sequence" if sequence else None
            groups[kind or "trained sequence"].append(row)
    return groups


def stored(data, path, rows, seed=0):
    """The store of some registered frames, 50 000 points each; made once."""
    if not path.exists():
        names = [row["name"] for row in rows]
        print(prepare(data, path, num_points=50_000, scans=names, workers=2, seed=seed))
    return path


def trained(store, folder, seed, *options):
    """The checkpoint of a ``shapespace train`` on one core and its seconds, wall and CPU.

    A run that is finished is not trained again; its seconds are those in ``seconds.csv``.
    """
    seconds = folder / "seconds.csv"
    if not seconds.exists():
        seeds = [f"--{name}={seed}" for name in ("seed_everything", "model.seed", "data.seed")]
        places = [f"--data.store={store}", f"--trainer.default_root_dir={folder}"]
        command = [sys.executable, "-m", "shapespace", "train", *options, *seeds, *places]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **ONE_CORE})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = sum(getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime"))
        seconds.write_text(f"wall,cpu\n{time.perf_counter() - start:.1f},{cpu:.1f}\n")
    with seconds.open() as file:
        (spent,) = csv.DictReader(file)
    return folder / CHECKPOINT, {name: float(value) for name, value in spent.items()}


def reconstructed(checkpoint, data, rows, out, how, resolution=192):
    """The reconstructions of raw scans by name; those that are there are kept."""
    sources = find_sources(data / "scans", [row["name"] for row in rows])
    meshing = MeshOptions(resolution=resolution)
    done = reconstruct_files(checkpoint, sources, out, how, meshing, strict=True).done
    return {item.name: item for item in done}


def trial(name, data, store, out, seed, options, train_shown=8, resolution=96):
    """One training and its errors on frames by own codes and on raw scans that are unseen."""
    groups = splits(read_frames(data))
    names = out / "train.txt"
    names.write_text("".join(f"{row['name']}\n" for row in groups["train"]))
    run = out / f"{name}_{seed}"
    checkpoint, seconds = trained(store, run, seed, f"--data.scans={names}", *options)
    space = TrainedSpace.load(checkpoint, "cpu")
    shown, _ = groups.pop("train"), groups.pop("trained sequence")
    shown = shown[:: max(1, len(shown) // train_shown)][:train_shown]
    meshes = [space.mesh(space.code(r["name"]), space.frame(r["name"]), resolution) for r in shown]
    found = [("training frames", row, mesh) for row, mesh in zip(shown, meshes, strict=True)]
    for split, rows in groups.items():
        done = reconstructed(
            checkpoint, data, rows, run / "fits", FitOptions(detail="none"), resolution
        )
        found += [(split, row, done[row["name"]].mesh) for row in rows]
    about = {"name": name, "seed": seed, "cpu_seconds": seconds["cpu"]}
    return [
        {**about, "split": split, "scan": row["name"], "mm": both_ways(mesh, registration(row))}
        for split, row, mesh in found
    ]


def both_ways(mesh, truth, num_samples=50_000):
    """Half the sum of both exact one-sided mean distances, in millimetres; infinite if empty."""
    if not len(mesh.faces):
        return np.inf
    sides = [(mesh, truth), (truth, mesh)]
    means = []
    for surface, other in sides:
        points = SampledSurface.of_mesh(surface, num_samples).points
        means.append(point_to_mesh(points, other).mean())
    return 1000 * float(np.mean(means))


def write_rows(rows, path):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def print_medians(rows):
    """A line a trial: the median of each split, over all seeds, and that of each seed."""
    for name in dict.fromkeys(row["name"] for row in rows):
        mine = [row for row in rows if row["name"] == name]
        cells = []
        for split in dict.fromkeys(row["split"] for row in mine):
            values = [(row["seed"], row["mm"]) for row in mine if row["split"] == split]
            seeds = dict.fromkeys(seed for seed, _ in values)
            each = [np.median([mm for s, mm in values if s == seed]) for seed in seeds]
            cells.append(f"{split} {np.median([mm for _, mm in values]):.2f} {np.round(each, 2)}")
        print(name, "; ".join(cells), flush=True)


def vary(doc, name, trials, *options):
    """A command that trains and measures each of ``trials``: name -> option, with each seed."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs") / name)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    store = stored(args.data, args.out / "train.hdf5", splits(read_frames(args.data))["train"])
    epochs = f"--trainer.max_epochs={args.epochs}"
    common = ["--config=configs/bodies-cpu.yaml", MIXED, epochs, *options]
    rows = []
    for seed in args.seeds:
        for title, option in trials.items():
            rows += trial(title, args.data, store, args.out, seed, [*common, option])
            write_rows(rows, args.out / "results.csv")
            print_medians([row for row in rows if row["name"] == title])
    print_medians(rows)
