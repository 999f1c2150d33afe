"""One command for the day a GPU is there: does it work, is it right, how fast is it.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [--tiny] [--out gpu.json]

tests: the tests marked gpu. ranks: the toy recipe in double precision by one process of the device,
and by one NCCL rank for each GPU, against one process on the CPU. steps: a training step at full
size in every precision and compiled, against the published formulation: points a second, share of
the peak of one large product in the same precision, largest memory, differences. uses: fits, meshes
and corrections on the device against the CPU. dfaust: a step of configs/dfaust.yaml (16 scans of
8000 points), and how far ten minutes of it would come.

A part that fails says so and the others go on; a part for which no time is left is left out. All
parts take --minutes at most. The result is JSON, and a table at the end. --tiny takes the smallest
sizes, and with --device cpu runs anywhere: the device is then compared with itself.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import torch
import trimesh
from scipy.spatial import KDTree
from step import Step, batch, flops, peak, speed, timed, waited

from shapespace.data.store.store import ScanStore
from shapespace.reconstruction.detail import detailed, detailed_mesh
from shapespace.space import TrainedSpace
from shapespace.training.cli import train

ROOT = Path(__file__).resolve().parents[1]
PRECISIONS = ("published", "float32", "tf32", "mixed", "bfloat16", "compiled")
SAME_TRAINING = 1e-6
"""Largest relative difference of weights, codes, moments and losses, in double precision."""
SAME_SURFACE = 1e-3
"""Largest difference of fitted distances and of surfaces, in the unit of the space (radius 1)."""
DFAUST = {"scans": 16, "points": 8000, "steps an epoch": 97}
TEN_MINUTES = 600


def from_tests(name):
    """A module of the tests, which are no package that is installed."""
    sys.path.insert(0, str(ROOT))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(ROOT))


class Day:
    """The device, the sizes, and the time that is left."""

    def __init__(self, args, folder):
        self.device = args.device
        self.tiny = args.tiny
        self.folder = Path(folder)
        self.end = time.monotonic() + 60 * args.minutes
        self.peak = 256 if args.tiny else 4096
        self.is_gpu = args.device.startswith("cuda")
        self.store = from_tests("tests.conftest").write_toy_store(self.folder / "toy.hdf5")

    @property
    def left(self):
        """Seconds."""
        return self.end - time.monotonic()


def tests(day):
    """The tests marked gpu, in a process of their own."""
    where = ["tests/training/test_ddp.py"] if day.tiny else ["tests"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *where]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=min(max(day.left, 1), 120)
    )
    last = (done.stdout.strip().splitlines() or [done.stderr])[-1]
    # Exit code 5: no test was found, as where all are skipped before they run.
    yield {"result": last.strip("= "), "passed": done.returncode in (0, 5)}


def ranks(day):
    """One process of the device, and a rank for each GPU, against one process on the CPU."""
    epochs = "--trainer.max_epochs=2"
    twins = from_tests("tests.training.test_ddp")

    def run(name, count, *options):
        size = f"--data.batch_size={4 // count}"
        folder = day.folder / name
        arguments = twins.arguments(folder, day.store, size, epochs, *options)
        seconds = timed(lambda: twins.train(count, [arguments]), "cpu")
        return folder, seconds

    cpu, _ = run("cpu", 1, "--trainer.accelerator=cpu")
    accelerator = "--trainer.accelerator=" + ("gpu" if day.is_gpu else "cpu")
    gpus = torch.cuda.device_count() if day.is_gpu else 2
    for count in sorted({1, *(n for n in (2, 4) if n <= gpus)}):
        # One process of the CPU against itself would say nothing: two ranks of it do.
        if count == 1 and not day.is_gpu:
            continue
        folder, seconds = run(f"{count} ranks", count, accelerator)
        off = twins.farthest(cpu, folder)
        yield {
            "ranks": count,
            "seconds, start included": round(seconds, 1),
            "difference": float(f"{off:.1e}"),
            "allowed": SAME_TRAINING,
            "passed": off < SAME_TRAINING,
        }


def steps(day):
    """Every precision against the published formulation."""
    size, rounds = ("small", 1) if day.tiny else ("full", 7)
    scans, points = (1, 32) if day.tiny else (2, 8000)
    names = PRECISIONS[:-1] if day.tiny else PRECISIONS  # compiling takes most of a minute
    args = SimpleNamespace(
        scans=scans, points=points, device=day.device, rounds=rounds, peak=day.peak
    )
    for row in speed(size, names, args):
        step = Step(row["step"], size, day.device)
        scan = batch(scans, points, day.device)
        count = step.sampler(scan[:1], torch.Generator(day.device)).num_points * scans
        if day.is_gpu:
            torch.cuda.reset_peak_memory_stats()
            step(scan, 0)
            row["GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        yield row | {"points a second": round(count / row["seconds"]) if row["seconds"] else None}


def uses(day):
    """A fit, a mesh and a correction of each toy scan, on the device and on the CPU."""
    folder = day.folder / "space"
    epochs = 20 if day.tiny else 200
    checkpoint = train(
        [
            *("--config=toy", f"--data.store={day.store}", "--data.num_points=256"),
            *(f"--trainer.max_epochs={epochs}", f"--trainer.default_root_dir={folder}"),
            "--preview.every=1000000",
        ]
    )
    scans = [ScanStore(day.store).scan(name) for name in ("ball", "egg", "lens", "melon")]
    scans = scans[:1] if day.tiny else scans
    one, two = (
        [used(TrainedSpace.load(checkpoint, device), scan, day, device) for scan in scans]
        for device in ("cpu", day.device)
    )
    pairs = list(zip(one, two, strict=True))
    parts = {"fit": apart_by_points, "mesh": apart, "correction": apart}
    if day.tiny:
        del parts["correction"]  # a minute
    for part, difference in parts.items():
        off = max(difference(a[part][0], b[part][0]) for a, b in pairs)
        spent = [sum(each[part][1] for each in found) for found in (one, two)]
        yield {
            "use": part,
            "shapes": len(scans),
            "seconds": round(spent[1], 2),
            "seconds on the CPU": round(spent[0], 2),
            "largest difference": float(f"{off:.1e}"),
            "allowed": SAME_SURFACE,
            "passed": bool(off < SAME_SURFACE),
        }


def used(space, scan, day, device):
    """The fit, the mesh and the corrected mesh of a scan, each with its seconds."""
    resolution = 24 if day.tiny else 128

    def clocked(work):
        start = waited(device)
        return work(), waited(device) - start

    fit, fitting = clocked(lambda: space.fit([scan]))
    code, pose = fit.codes[0], fit.poses
    mesh, meshing = clocked(lambda: space.mesh(code, resolution=resolution))

    def correction():
        found = detailed(space, code, pose, scan)
        return trimesh.Trimesh() if found is None else detailed_mesh(found, scan, pose, resolution)

    done = {"fit": (fit, fitting), "mesh": (mesh, meshing)}
    return done if day.tiny else done | {"correction": clocked(correction)}


def apart_by_points(one, two):
    """The largest difference of the distances of a scan's points to two fits."""
    return float((one.distances.cpu() - two.distances.cpu()).abs().max())


def apart(one, two):
    """The largest distance from the vertices of a mesh to those of the other; 0 if both are empty.

    Both are meshes of nearly the same grid, so that equal surfaces have equal vertices.
    """
    if not len(one.vertices) or not len(two.vertices):
        return 0.0 if len(one.vertices) == len(two.vertices) else float("inf")
    return float(KDTree(two.vertices).query(one.vertices)[0].max())


def dfaust(day):
    """A step of the recipe at its own size, and ten minutes of it."""
    size = "small" if day.tiny else "full"
    scans, points = (1, 32) if day.tiny else (DFAUST["scans"], DFAUST["points"])
    scan = batch(scans, points, day.device)
    fastest = peak(torch.float32, day.device, day.peak)
    for name in ("float32", "tf32", "mixed", "bfloat16"):
        step = Step(name, size, day.device)
        # A GPU takes the whole batch; a scan a chunk bounds the memory, as points_per_chunk does.
        chunk = None if day.is_gpu else 1
        seconds = [timed(partial(step, scan, n, chunk), day.device) for n in range(4)]
        spent = median(seconds[1:])
        count = TEN_MINUTES / spent
        share = flops(step.decoder, scan, step.sampler) / spent / fastest
        yield {
            "step": name,
            "scans x points": f"{scans} x {points}",
            "seconds": round(spent, 4),
            "of the float32 peak, %": round(100 * share),
            "steps in ten minutes": round(count),
            "epochs in ten minutes": round(count / DFAUST["steps an epoch"], 1),
        }


PARTS = (tests, ranks, steps, uses, dfaust)


def table(found):
    """All rows, a line each, under the name of their part."""
    lines = []
    for name, part in found["parts"].items():
        lines.append(f"{name}: {part['seconds']} s" + (f", {part['why']}" if part["why"] else ""))
        for row in part["rows"]:
            lines.append("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--parts", nargs="+", default=[part.__name__ for part in PARTS])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("gpu.py: there is no CUDA device; --device cpu --tiny tries the script itself")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    name = torch.cuda.get_device_name() if args.device.startswith("cuda") else "cpu"
    found = {"device": name, "torch": torch.__version__, "parts": {}}
    with TemporaryDirectory() as folder:
        day = Day(args, folder)
        for part in PARTS:
            if part.__name__ not in args.parts:
                continue
            start, rows, why = time.monotonic(), [], ""
            try:
                if day.left <= 0:
                    raise TimeoutError("no time is left")
                for row in part(day):
                    rows.append(row)
                    print(json.dumps({part.__name__: row}), file=sys.stderr, flush=True)
                    if day.left <= 0:
                        raise TimeoutError("no time is left for the rest")
            # Whatever fails on the day is a finding; the other parts are worth their time.
            except Exception as error:
                why = f"{type(error).__name__}: {str(error)[-400:]}"
            seconds = round(time.monotonic() - start, 1)
            found["parts"][part.__name__] = {"seconds": seconds, "why": why, "rows": rows}
            if args.out:
                args.out.write_text(json.dumps(found, indent=1) + "\n")
    if not args.out:
        print(json.dumps(found, indent=1))
    print(table(found))
    failed = [
        name
        for name, part in found["parts"].items()
        if part["why"] or not all(row.get("passed", True) for row in part["rows"])
    ]
    if failed:
        sys.exit(f"gpu.py: {', '.join(failed)} failed")


if __name__ == "__main__":
    main()
