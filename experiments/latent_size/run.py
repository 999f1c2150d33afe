"""How long should a code be?

    python experiments/latent_size/run.py DATA --out OUT

DATA is the folder of experiments/real_bodies; people and sequences are split as in
experiments/against_published. Writes OUT/results.csv and prints the medians.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

OPTION = "--model.decoder.init_args.latent_size"
TRIALS = {str(size): f"{OPTION}={size}" for size in (16, 32, 64, 128, 256)}


if __name__ == "__main__":
    bodies.vary(__doc__, "latent_size", TRIALS, "--model.decoder.init_args.width=320")
