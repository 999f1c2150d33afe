"""Codes of unseen scans: second-order steps against the published 800 steps of Adam.

    python benchmarks/fit.py CHECKPOINT SCANS [SCANS ...] [--truth FOLDER] [--published 20]
                             [--threads 1] [--out FILE]

Published (IGR, Gropp et al. 2020, released evaluation code): 16384 points, 800 steps, rate 5e-3 and
a tenth of it from half way, in the frame of the training. It runs on this package's decoder, which
is faster than the published formulation (step.py), so that the ratio of times is a lower bound.
Errors, with --truth the data of experiments/real_bodies or a folder of PLY meshes called like
the scans: Chamfer distance of the mesh (resolution 128) to the true surface; without it, the median
distance of the scan's points by the field. --published: scans that are also fitted that way; each
takes minutes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import trimesh

from shapespace.config.options import FitOptions
from shapespace.data.sources import collect_sources
from shapespace.evaluation.compare import scores_of
from shapespace.reconstruction.inputs import prepare_for
from shapespace.reconstruction.method import fit_scans
from shapespace.space import TrainedSpace

sys.path.append(str(Path(__file__).resolve().parents[1] / "experiments"))
import bodies

METHODS = {
    "second-order": FitOptions(detail="none"),
    "adam-published": FitOptions("adam-published"),
}


def fitted(space, scan, fit, truth):
    """Error in the thousandth of the space's unit, and CPU seconds."""
    start = time.process_time()
    result = fit_scans(fit, space, [scan])
    seconds = time.process_time() - start
    if truth is None:
        return 1000 * float(result.distances.median()), seconds
    mesh = space.mesh(result.codes[0], scan.frame, 128, pose=result.poses)
    scores = scores_of(scan.name, mesh, {"registration": truth})
    return 1000 * scores.value("registration", "chamfer_half_unsquared"), seconds


def surface_of(folder, name):
    """The true surface of a scan: its frame's registration, or a mesh of its name."""
    if not (folder / "frames.csv").exists():
        return trimesh.load_mesh(folder / f"{name}.ply", process=False)
    rows = bodies.read_frames(folder)
    return bodies.registration(next(row for row in rows if row["name"] == name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("scans", nargs="+")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--published", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space, rows = TrainedSpace.load(args.checkpoint), []
    for number, source in enumerate(collect_sources(args.scans)):
        scan = prepare_for(space, source, "auto", 0)
        surface = surface_of(args.truth, scan.name) if args.truth else None
        row = {"scan": scan.name}
        for name, fit in METHODS.items():
            if name == "second-order" or number < args.published:
                error, seconds = fitted(space, scan, fit, surface)
                row[name] = {"error": round(error, 3), "seconds": round(seconds, 2)}
        rows.append(row)
        print(json.dumps(row), flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(summary(rows), indent=1))


def summary(rows):
    both = [row for row in rows if "adam-published" in row]
    errors = {name: [row[name]["error"] for row in both] for name in METHODS}
    seconds = {name: [row[name]["seconds"] for row in both] for name in METHODS}
    ours, theirs = (np.array(errors[name]) for name in METHODS)
    found = {"second-order, all scans": np.median([row["second-order"]["error"] for row in rows])}
    if not both:
        return found
    return found | {
        "scans": len(both),
        "median errors": {name: float(np.median(each)) for name, each in errors.items()},
        "no worse than published within 2 %": float(np.mean(ours <= 1.02 * theirs)),
        "times faster, median": float(np.median(np.divide(*reversed(list(seconds.values()))))),
    }


if __name__ == "__main__":
    main()
