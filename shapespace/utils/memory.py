"""How many points of a batch fit into memory at once, and how much a process takes."""

import os
from contextlib import suppress
from pathlib import Path

import torch

SHARE = 0.25
"""Of the free memory, for what is kept between forward and backward."""
GROUPS, PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


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
    return min(_available(Path("/proc/meminfo")), _left_in_groups(PROCESS, GROUPS))


def _available(path: Path) -> int:
    """What the kernel says, or all free pages where it says nothing."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return 1024 * int(line.split()[1])


def _left_in_groups(process: Path, root: Path) -> int:
    """What the container or job of a process may still take; a large number without a limit.

    A control group is bounded by those above it. Pages of files that were read count as free.
    """
    left = 2**63
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return left
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            base = root / "memory"
        else:
            continue
        folder = base / path.strip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(base):
                left = min(left, _left_in_group(group, *names))
    return left


def _left_in_group(folder: Path, limit: str, usage: str, files: str) -> int:
    try:
        most, used = (int((folder / name).read_text()) for name in (limit, usage))
        pairs = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, most - used + int(dict(pairs).get(files, 0)))
    except (OSError, ValueError):
        return 2**63


def used_memory(device: torch.device) -> int:
    """Bytes that this process holds on ``device`` now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _own("VmRSS")


def largest_memory(device: torch.device) -> int:
    """The most bytes that this process held there since :func:`forget_largest`, or its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _own("VmHWM")


def forget_largest(device: torch.device) -> None:
    """Let :func:`largest_memory` begin anew, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _own(what: str) -> int:
    """A line of the kernel's account of this process; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    (line,) = (line for line in lines if line.startswith(f"{what}:"))
    return 1024 * int(line.split()[1])
