"""One process of several: its rank, its share of the work, its GPU.

torchrun and srun pass the rank in environment variables. The processes exchange no messages.
"""

import os
import re
from collections.abc import Mapping

from shapespace.errors import InputError, one_line

FIRST_SPECIAL_STEP = 0xFFFFFFF0
"""Slurm's SLURM_STEP_ID from which on a step is a shell or a batch script: one process alone."""


def parse_shard(text: str) -> tuple[int, int]:
    """Parse "i/n" into (i, n); InputError unless 1 <= i <= n."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if found and 1 <= int(found[1]) <= int(found[2]):
        return int(found[1]), int(found[2])
    raise InputError(f"shard={one_line(text)}: give i/n with i from 1 to n, as in 3/8")


def own_share(shard: str | None) -> tuple[int, int]:
    """Say which part of the work this process does.

    Args:
        shard: "i/n" for the i-th of n parts, "1/1" for all; None asks torchrun or srun.

    Returns:
        (i, n), counted from 1; (1, 1) for a process that is alone.
    """
    if shard is not None:
        return parse_shard(shard)
    rank, world = rank_and_world(os.environ)
    return rank + 1, world


def rank_and_world(environ: Mapping[str, str]) -> tuple[int, int]:
    """Read the rank of this process and the number of processes.

    torchrun's RANK and WORLD_SIZE come before srun's SLURM_PROCID and SLURM_NTASKS, as torchrun may
    run under srun.

    Args:
        environ: environment variables.

    Returns:
        (rank, number of processes), with the rank counted from 0; (0, 1) for a process alone.

    Raises:
        InputError: The rank is not smaller than the number of processes.
    """
    if environ.get("RANK") and environ.get("WORLD_SIZE"):
        return _checked(environ, "RANK", "WORLD_SIZE")
    # The shell of sbatch or salloc has SLURM_NTASKS of the allocation, but runs once.
    if environ.get("SLURM_PROCID") and environ.get("SLURM_NTASKS") and _in_step(environ):
        return _checked(environ, "SLURM_PROCID", "SLURM_NTASKS")
    return 0, 1


def own_device(environ: Mapping[str, str], num_gpus: int) -> str:
    """Choose the device of this process: "cpu", "cuda", or "cuda:i" beside other processes.

    The processes of a node take turns on its GPUs, by torchrun's LOCAL_RANK or srun's
    SLURM_LOCALID. Without those variables the rank decides.

    Args:
        environ: environment variables.
        num_gpus: GPUs that this process sees.
    """
    rank, world = rank_and_world(environ)
    if world == 1 or num_gpus == 0:
        return "cuda" if num_gpus else "cpu"
    by_torchrun = bool(environ.get("RANK") and environ.get("WORLD_SIZE"))
    local = environ.get("LOCAL_RANK" if by_torchrun else "SLURM_LOCALID", "")
    return f"cuda:{(int(local) if local.isdecimal() else rank) % num_gpus}"


def _in_step(environ: Mapping[str, str]) -> bool:
    """True if srun started this process, as part of a step of its own."""
    step = environ.get("SLURM_STEP_ID", "")
    return step.isdecimal() and int(step) < FIRST_SPECIAL_STEP


def _checked(environ: Mapping[str, str], rank: str, world: str) -> tuple[int, int]:
    """The values of the variables ``rank`` and ``world``; InputError if they contradict."""
    number = environ[rank]
    count = environ[world]
    if number.isdecimal() and count.isdecimal() and int(number) < int(count):
        return int(number), int(count)
    given = one_line(f"{rank}={number} {world}={count}")
    raise InputError(f"{given}: a process is one of 0 to {world} - 1; unset both if it is alone")
