"""How often the true surface lies within the error bars, on scans that run.py kept.

    python experiments/unseen_scans/calibration.py DATA --out OUT

Writes OUT/calibration.csv, one row a scan and a kind of place: shares within one and two standard
deviations (0.683 and 0.954 are right); and OUT/calibration.png: the error against the deviation.
"""

import argparse
import pickle
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import run
from scipy.spatial import KDTree

from shapespace.geometry.proximity import nearest_on_mesh, point_to_mesh
from shapespace.reconstruction.detail import deviation_of_detail

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

CHOSEN_ON = "12"
"""Folds on which the constants of the error bars were chosen; the others are the test."""
NUM_VERTICES = 12_000


def judged(path, rows, first, data):
    """Error and deviation of some vertices of a mesh, and the kinds of places they are."""
    _, name = path.stem.split("_", 1)
    row = rows[name]
    with path.open("rb") as file:
        mesh, detail, scan, pose, _ = pickle.load(file)
    some = np.random.default_rng(0).permutation(len(mesh.vertices))[:NUM_VERTICES]
    truth, raw = bodies.registration(row), bodies.raw_scan(row, data)
    error, place = nearest_on_mesh(np.asarray(mesh.vertices)[some], truth)
    seen = point_to_mesh(place, raw) <= run.SEEN
    nearest = KDTree(truth.vertices).query(place)[1]
    parts = {kind: mask[nearest] for kind, mask in run.extremities(first[row["sex"]]).items()}
    deviation = deviation_of_detail(mesh, detail, scan, pose)[some]
    return error, deviation, {"seen": seen, "not seen": ~seen, **parts}


def draw(found, path):
    """Quantiles of the error over bins of the deviation, of the scans of the test."""
    error, deviation = (1000 * np.concatenate([one[k] for one in found]) for k in (0, 1))
    edges = np.geomspace(np.quantile(deviation, 0.01), np.quantile(deviation, 0.999), 15)
    middle = np.sqrt(edges[1:] * edges[:-1])
    figure, axes = plt.subplots(figsize=(4.5, 4.2))
    for share, times in ((0.683, 1), (0.954, 2)):
        bins = np.digitize(deviation, edges)
        quantiles = [np.quantile(error[bins == k], share) for k in range(1, len(edges))]
        axes.loglog(middle, quantiles, "o-", label=f"{share:.1%} of the errors lie below")
        axes.loglog(middle, times * middle, "k--", lw=0.8, label=f"right: {times} deviations")
    axes.set_xlabel("standard deviation, mm")
    axes.set_ylabel("distance from the true surface, mm")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/unseen_scans"))
    args = parser.parse_args()
    frames = bodies.read_frames(args.data)
    rows = {row["name"]: row for row in frames if row["scan"]}
    # Registrations of a sex share their vertices; the arms of its first frame are not raised.
    first = {row["sex"]: row for row in reversed(frames)}
    results, test, pooled = [], [], {}
    for path in sorted((args.out / "kept").glob("*.pkl")):
        fold, name = path.stem.split("_", 1)
        person = rows[name]["subject"] in run.FOLDS[int(fold)][0]
        chosen = fold in CHOSEN_ON
        error, deviation, kinds = judged(path, rows, first, args.data)
        if not chosen:
            test.append((error, deviation))
        for kind, mask in kinds.items():
            within = [float((error[mask] <= k * deviation[mask]).mean()) for k in (1, 2)]
            about = {"fold": fold, "scan": name, "new": "person" if person else "motion"}
            results.append(about | {"places": kind, "one": within[0], "two": within[1]})
            key = "chosen on" if chosen else "test", about["new"], kind
            pooled.setdefault(key, []).append((error[mask], deviation[mask]))
        bodies.write_rows(results, args.out / "calibration.csv")
    for key, parts in sorted(pooled.items()):
        error, deviation = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        shares = [f"{100 * (error <= k * deviation).mean():.0f}" for k in (1, 2)]
        print("|", " | ".join([*key, *shares]), "|")
    draw(test, args.out / "calibration.png")


if __name__ == "__main__":
    main()
