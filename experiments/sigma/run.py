"""How wide should the samples near the surface be: one sigma for all, or the 50th neighbour?

    python experiments/sigma/run.py DATA --out OUT

DATA is the folder of experiments/real_bodies; people and sequences are split as in
experiments/against_published. Writes OUT/results.csv and prints the medians.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bodies

OPTION = "--model.sampler.init_args.sigma"
TRIALS = {
    "0.01": f"{OPTION}=0.01",
    "0.05": f"{OPTION}=0.05",
    "50th neighbour": f"{OPTION}=null",
}


if __name__ == "__main__":
    bodies.vary(__doc__, "sigma", TRIALS)
