"""The latency of a step of a slider in the viewer: coarse while it moves, fine when it rests.

    python benchmarks/slider.py [CHECKPOINT ...] [--sizes 6x256] [--steps 20] [--resolution 128]
                                [--threads 2]

Each step moves the first principal axis by a tenth of a standard deviation, as a hand does, and
waits for the drawing; the time is that from the call to the picture that the page would be sent.
The pause after which a slider counts as at rest is not in it. Without a checkpoint, networks of the
sizes DEPTHxWIDTH (codes of 32 numbers) are made to hold a ball, with codes that move it.

Wall seconds are an upper bound on a machine that does other things; CPU seconds are given too.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from shapespace.codes import LatentCodes
from shapespace.decoders.mlp import SkipMLP
from shapespace.objectives.igr import IGR
from shapespace.sampling import NearSurface
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.viewer.session import Session


class Clock:
    """A display that keeps when a picture came, and of which kind."""

    def __init__(self):
        self.seen = []

    def show(self, picture):
        self.seen.append((time.perf_counter(), time.process_time(), picture.is_fine))

    def __getattr__(self, name):
        return lambda *arguments, **options: None


def untrained(size):
    """A space with a network of a size, which holds a ball moved a little by the codes."""
    depth, width = map(int, size.split("x"))
    torch.manual_seed(0)
    skip = min(4, depth - 1)
    decoder = SkipMLP(depth=depth, width=width, latent_size=32, skip=skip, radius=0.6)
    codes = LatentCodes(8, 32, init_std=0.01)
    codes.assign([f"shape_{row}" for row in range(8)], [Frame(np.zeros(3))] * 8)
    decoder.eval().requires_grad_(False)
    return TrainedSpace(decoder, codes, IGR(), NearSurface())


def measured(space, steps, resolution):
    """Median and largest seconds of coarse and fine steps."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        session = Session(space, clock, Path(out), resolution)
        session.start()
        session.worker.wait(600)
        found = {False: [], True: []}
        values = np.zeros(session.num_sliders)
        for step in range(steps):
            values[0] = 0.1 * (step + 1)
            for is_fine in (False, True):
                clock.seen.clear()
                start = time.perf_counter(), time.process_time()
                if is_fine:
                    session.worker.draw(None, lambda superseded: session._draw(True, superseded))
                else:
                    session.slide(values.tolist())
                while not any(fine == is_fine for *_, fine in clock.seen):
                    time.sleep(0.001)
                *end, _ = next(each for each in clock.seen if each[2] == is_fine)
                found[is_fine].append(np.subtract(end, start))
                session.worker.wait(600)
        session.stop()
    return {
        f"{'fine' if is_fine else 'coarse'} {kind}": round(
            float(number(np.array(rows)[:, column])), 3
        )
        for is_fine, rows in found.items()
        for column, kinds in enumerate((("s", "s at most"), ("CPU s", "CPU s at most")))
        for kind, number in zip(kinds, (np.median, np.max), strict=True)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", nargs="*")
    parser.add_argument("--sizes", nargs="*", default=["6x256"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spaces = {path: TrainedSpace.load(path, "cpu") for path in options.checkpoints}
    spaces |= {size: untrained(size) for size in options.sizes}
    for name, space in spaces.items():
        found = measured(space, options.steps, options.resolution)
        print(json.dumps({"space": name, "threads": options.threads, **found}), flush=True)


if __name__ == "__main__":
    main()
