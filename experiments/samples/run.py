"""New animals: three priors over the codes of one small space, judged on surfaces.

    python experiments/samples/run.py DATA --out OUT

DATA is a folder of horse.hdf5 and wolf.hdf5, animated meshes in the D-FAUST layout: one data set
(vertices, 3, frames) a motion, and faces. Writes OUT/results.csv and a sheet of each prior.
"""

import argparse
import csv
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import trimesh

from shapespace.data.formats import dfaust
from shapespace.data.prepare.run import prepare
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.samples.metrics import (
    compactness,
    copies,
    coverage,
    distances_between,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
    novelty,
)
from shapespace.evaluation.samples.prior import drawn_codes
from shapespace.evaluation.samples.shapes import POINTS, CoarseShapes
from shapespace.priors.files import KINDS, fit_prior
from shapespace.priors.held_out import held_out, one_gaussian
from shapespace.rendering.meshes import BLUE, GREY, Figure, render_grid, save_image
from shapespace.sampling import seeded_generator
from shapespace.space import TrainedSpace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

HELD_OUT = ("horse_gallop", "horse_eating", "horse_idle_2", "wolf_gallop", "wolf_eating")
"""Motions that neither the space nor a prior has seen."""
FRAMES = (0, 3, 6, 9)
NUM_SAMPLES = 20
SHOWN = 8
"""Samples of each prior on its sheet."""
TRAINING = (
    "--config=bodies-cpu",
    bodies.MIXED,
    "--model.decoder.init_args.width=160",
    "--model.decoder.init_args.latent_size=32",
    "--trainer.max_epochs=170",
    "--preview.every=1000",
)


def write_frames(data, folder):
    """Write the chosen frames as meshes; names of those to train on, and of those held out."""
    names = ([], [])
    folder.mkdir(parents=True, exist_ok=True)
    for animal in ("horse", "wolf"):
        path = data / f"{animal}.hdf5"
        for motion in dfaust.list_sequences(path):
            for frame in FRAMES:
                name = f"{motion}_{frame:03d}"
                names[motion in HELD_OUT].append(name)
                raw = dfaust.read_frame(path, motion, frame)
                mesh = trimesh.Trimesh(raw.vertices, raw.faces, process=False)
                mesh.export(folder / f"{name}.ply")
    return names


def true_surface(path):
    """A true surface about the mean of its points, as stored scans are."""
    mesh = trimesh.load_mesh(path, process=False)
    mesh.vertices -= SampledSurface.of_mesh(mesh, 20_000).points.mean(0)
    return SampledSurface.of_mesh(mesh, POINTS)


def row_of(name, some, training, unseen, unseen_off):
    """The numbers of a set of surfaces, lengths in mm, and its nearest training shapes."""
    full = [each for each in some if len(each.points)]
    to_unseen, to_training = (distances_between(full, each) for each in (unseen, training))
    off = to_training.min(1)
    return {
        "set": name,
        "shapes": len(full),
        "empty": len(some) - len(full),
        "coverage": coverage(to_unseen),
        "matching_mm": 1000 * minimum_matching_distance(to_unseen),
        "accuracy": nearest_neighbour_accuracy(
            distances_between(full, full), to_unseen, distances_between(unseen, unseen)
        ),
        "specificity_mm": 1000 * off.mean(),
        "novelty": novelty(off, unseen_off),
        "copies": copies(off, unseen_off),
    }, to_training.argmin(1)


def draw(path, some, nearest, training, names):
    """Samples above their nearest training shapes."""
    full = [each for each in some if len(each.points)]
    pairs = list(zip(full, nearest, strict=True))[:SHOWN]
    new = [Figure(each.mesh, BLUE) for each, _ in pairs]
    known = [Figure(training[row].mesh, GREY, names[row]) for _, row in pairs]
    save_image(render_grid([new, known], height=220, azimuth=60), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    scans, store = options.out / "scans", options.out / "animals.hdf5"
    seen, left = write_frames(options.data, scans)
    if not store.exists():
        print(prepare(scans, store, num_points=10_000, scans=seen, workers=1, seed=0))
    checkpoint, seconds = bodies.trained(store, options.out / "run", options.seed, *TRAINING)
    space = TrainedSpace.load(checkpoint, "cpu")
    shapes = CoarseShapes(space)
    codes = shapes.codes
    training = [shapes.training(row) for row in range(len(codes))]
    truth = {name: true_surface(scans / f"{name}.ply") for name in (*seen, *left)}
    unseen = [truth[name] for name in left]
    own = [distances_between([training[r]], [truth[n]])[0, 0] for r, n in enumerate(space.names)]
    print(f"{seconds['cpu']} CPU seconds; training shapes are {1000 * np.median(own):.1f} mm off")
    unseen_off = distances_between(unseen, training).min(1)
    print(f"held-out shapes are {1000 * np.median(unseen_off):.1f} mm from a training shape")
    print("compactness", np.searchsorted(compactness(codes.double().numpy()), (0.9, 0.99)) + 1)
    every = np.linspace(0, len(training) - 1, NUM_SAMPLES).round().astype(int)
    rows = [
        row_of("training shapes", [training[r] for r in every], training, unseen, unseen_off)[0]
    ]
    one = held_out(one_gaussian, codes, space.names, options.seed)
    rows[0] |= {"nats": one.mean, "seconds": 0.0}
    print(f"one Gaussian: {one.mean:.2f} nats, held out by {one.by}")
    for kind in KINDS:
        start = time.process_time()
        prior = fit_prior(kind, codes, seeded_generator("cpu", options.seed))
        spent = time.process_time() - start
        known = held_out(partial(fit_prior, kind), codes, space.names, options.seed)
        some = [shapes.surface(code) for code in drawn_codes(prior, NUM_SAMPLES, options.seed)]
        row, nearest = row_of(kind, some, training, unseen, unseen_off)
        rows.append(row | {"nats": known.mean, "seconds": spent})
        draw(options.out / f"{kind}.png", some, nearest, training, space.names)
        print(rows[-1])
    with (options.out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()})


if __name__ == "__main__":
    main()
