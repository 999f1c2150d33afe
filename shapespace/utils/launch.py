"""One process of many: which part of the work is its own, and which GPU.

torchrun and srun tell each process by its environment; nothing is sent between them.
"""

import os
import re
from collections.abc import Mapping

from shapespace.errors import InputError, one_line

FIRST_SPECIAL_STEP = 0xFFFFFFF0
"""Steps of Slurm from here on are shells, batch scripts and the like: one process each."""


def parse_shard(text: str) -> tuple[int, int]:
    """The numbers i and n of "i/n", 1 <= i <= n."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    part, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part <= of:
        raise InputError(f"shard={one_line(text)}: give i/n with i from 1 to n, as in 3/8")
    return part, of


def own_share(shard: str | None) -> tuple[int, int]:
    """Which of how many parts of the work is ours, from 1: by "i/n", or as torchrun or srun say.

    (1, 1) of a process alone; ``shard`` "1/1" makes one of any.
    """
    if shard is not None:
        return parse_shard(shard)
    rank, world = rank_and_world(os.environ)
    return rank + 1, world


def rank_and_world(environ: Mapping[str, str]) -> tuple[int, int]:
    """Which process this is, from 0, and how many there are; (0, 1) of one alone.

    environ: RANK and WORLD_SIZE of torchrun count before SLURM_PROCID and SLURM_NTASKS of srun;
    the shell of sbatch or salloc is alone, whatever was allocated. InputError if they contradict.
    """
    if environ.get("RANK") and environ.get("WORLD_SIZE"):
        return _checked(environ, "RANK", "WORLD_SIZE")
    if environ.get("SLURM_PROCID") and environ.get("SLURM_NTASKS") and _in_step(environ):
        return _checked(environ, "SLURM_PROCID", "SLURM_NTASKS")
    return 0, 1


def own_device(environ: Mapping[str, str], num_gpus: int) -> str:
    """The device of this process, as torch names it: "cpu", "cuda", or one GPU of several.

    The processes of a node share out the ``num_gpus`` that they see, by LOCAL_RANK of torchrun,
    SLURM_LOCALID of srun or, without either, their rank.
    """
    rank, world = rank_and_world(environ)
    if world == 1 or num_gpus == 0:
        return "cuda" if num_gpus else "cpu"
    by_torchrun = bool(environ.get("RANK") and environ.get("WORLD_SIZE"))
    local = environ.get("LOCAL_RANK" if by_torchrun else "SLURM_LOCALID", "")
    return f"cuda:{(int(local) if local.isdecimal() else rank) % num_gpus}"


def _in_step(environ: Mapping[str, str]) -> bool:
    step = environ.get("SLURM_STEP_ID", "")
    return step.isdecimal() and int(step) < FIRST_SPECIAL_STEP


def _checked(environ: Mapping[str, str], rank: str, world: str) -> tuple[int, int]:
    found = environ[rank], environ[world]
    if all(value.isdecimal() for value in found) and int(found[0]) < int(found[1]):
        return int(found[0]), int(found[1])
    given = one_line(f"{rank}={found[0]} {world}={found[1]}")
    raise InputError(f"{given}: a process is one of 0 to {world} - 1; unset both if it is alone")
