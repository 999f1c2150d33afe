"""One scan with its own normals, with estimated ones, and with none.

python experiments/surfaces/normals.py OBJECTS OUT [--steps 500] [--name gargoyle_real]
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from measure import Reference, load, measure

from shapespace.config.options import SurfaceOptions
from shapespace.data.formats.readers import read_raw
from shapespace.reconstruction.single_scan import reconstruct_surface


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("objects", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", default="gargoyle_real")
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    raw = read_raw(args.objects / args.name / "scan.ply")
    bare, given = args.out / "bare.npz", args.out / "given.npz"
    np.savez(bare, points=raw.vertices)
    np.savez(given, points=raw.vertices, normals=raw.normals)
    scan = load(args.objects / args.name / "scan.ply")
    reference = Reference.of_scan(scan, slice(None))
    rows = []
    for title, scan, kind in (
        ("its own", given, "source"),
        ("estimated", bare, "estimate"),
        ("none", bare, "none"),
    ):
        out = args.out / f"{kind}.ply"
        options = SurfaceOptions(steps=args.steps, resolution=128, normals=kind)
        print(reconstruct_surface(scan, out, options))
        rows.append({"normals": title, **measure(load(out), reference)})
        print(rows[-1])
    with (args.out / "normals.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
