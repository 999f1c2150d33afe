"""Seconds and peak memory of a step of configs/dfaust.yaml at full size, on synthetic people.

    python benchmarks/dfaust_step.py [--steps 3] [fit options]

8x512, L = 256, 16 scans of 8000 + 9000 points: 272 000 points a step.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

from memory import largest_memory

from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.store.writer import StoreWriter
from shapespace.synthetic.dataset import MOTIONS, SUBJECTS, body, body_mesh
from shapespace.training.cli import train

NUM_SCANS = 16
ROOT = Path(__file__).resolve().parents[1]


def write_store(path: Path) -> None:
    with StoreWriter(path, "m", 3) as writer:
        for index in range(NUM_SCANS):
            motion = sorted(MOTIONS)[index % len(MOTIONS)]
            mesh = body_mesh(body(SUBJECTS[index % len(SUBJECTS)], motion, index / NUM_SCANS), 0.01)
            raw = checked(mesh.vertices, mesh.faces)
            writer.add(prepare_scan(raw, f"{index:02d}_{motion}", PointOptions(num_points=20_000)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3)
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        store, run = Path(scratch, "scans.hdf5"), Path(scratch, "run")
        write_store(store)
        before = largest_memory()
        train(
            [
                f"--config={ROOT / 'configs/dfaust.yaml'}",
                f"--data.store={store}",
                f"--trainer.max_epochs={args.steps}",
                f"--trainer.default_root_dir={run}",
                *options,
            ]
        )
        with (run / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
    seconds = [float(row["seconds"]) for row in rows]
    spans = sorted(b - a for a, b in zip([0.0, *seconds], seconds, strict=False))
    result = {
        "steps": len(rows),
        "points a step": NUM_SCANS * 17_000,
        "seconds a step, median": round(spans[len(spans) // 2], 2),
        "peak memory GiB": round(largest_memory() / 1024, 2),
        "memory before training GiB": round(before / 1024, 2),
        "losses": [round(float(row["loss"]), 4) for row in rows],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
