"""Several trainings, in double precision, in one launch of ranks: importing takes longer than they.

torchrun --nproc-per-node 2 tests/ranks.py "[[...arguments of shapespace train...], ...]"
"""

import json
import sys

import torch

from shapespace.training.cli import train

torch.set_default_dtype(torch.float64)
for arguments in json.loads(sys.argv[1]):
    train(arguments)
