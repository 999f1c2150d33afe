"""How many points of a batch fit into memory at once."""

import os
from pathlib import Path

import torch

SHARE = 0.25
"""Of the free memory, for what is kept between forward and backward."""
GROUPS = Path("/sys/fs/cgroup")


def points_that_fit(bytes_per_point: int, device: torch.device, sharers: int = 1) -> int:
    """Points whose activations take a quarter of the free memory, at least one.

    sharers: processes that share the memory of the CPU; each GPU has one process.
    """
    free = free_memory(device) if device.type == "cuda" else free_memory(device) // sharers
    return max(1, int(SHARE * free) // max(1, bytes_per_point))


def free_memory(device: torch.device) -> int:
    """Bytes that may still be taken on ``device``."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min(_available(Path("/proc/meminfo")), _left_in_group(GROUPS))


def _available(path: Path) -> int:
    """What the kernel says, or all free pages where it says nothing."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return 1024 * int(line.split()[1])


def _left_in_group(folder: Path) -> int:
    """What a container or a job may still take; a large number where there is no limit."""
    try:
        limit, used = ((folder / f"memory.{name}").read_text() for name in ("max", "current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return 2**63
