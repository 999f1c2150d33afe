"""Memory: bytes that are free, bytes that this process uses, points that fit."""

import os
from contextlib import suppress
from pathlib import Path

import torch

SHARE = 0.25
"""Share of the free memory for activations between the forward and the backward pass."""
GROUPS = Path("/sys/fs/cgroup")
"""Folder in which Linux keeps the control groups, and so the limits of containers and jobs."""
PROCESS = Path("/proc/self/cgroup")
"""File in which Linux lists the control groups of this process."""
_NO_LIMIT = 2**63


def points_that_fit(bytes_per_point: int, device: torch.device, sharers: int = 1) -> int:
    """Count the points whose activations take a quarter of the free memory, at least one.

    Args:
        bytes_per_point: activations of one point.
        device: device whose memory counts.
        sharers: processes that share the memory of a CPU; a GPU has one process.
    """
    free = free_memory(device) if device.type == "cuda" else free_memory(device) // sharers
    return max(1, int(SHARE * free) // max(1, bytes_per_point))


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on ``device``."""
    if device.type == "cuda":
        # torch keeps freed memory for itself; the driver does not count it as free.
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min(_available(Path("/proc/meminfo")), _left_in_groups(PROCESS, GROUPS))


def _available(path: Path) -> int:
    """Bytes that the kernel calls available; without /proc, half of the memory of the machine."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return 1024 * int(line.split()[1])


def _left_in_groups(process: Path, root: Path) -> int:
    """Bytes that the container or job of a process may still take; 2^63 without a limit.

    Args:
        process: list of the process's control groups, one "id:controllers:path" a line.
        root: folder of all control groups.
    """
    left = _NO_LIMIT
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return left
    for line in lines:
        _, controllers, path = line.split(":", 2)
        is_second_version = controllers == ""
        if not is_second_version and "memory" not in controllers.split(","):
            continue
        base = root if is_second_version else root / "memory"
        folder = base / path.strip("/")
        # The limits of all groups above hold too.
        for group in (folder, *folder.parents):
            if group.is_relative_to(base):
                left = min(left, _left_in_group(group, is_second_version))
    return left


def _left_in_group(folder: Path, is_second_version: bool) -> int:
    """Bytes that the processes of one control group may still take; 2^63 without a limit."""
    if is_second_version:
        limit = "memory.max"
        usage = "memory.current"
        cache = "inactive_file"
    else:
        limit = "memory.limit_in_bytes"
        usage = "memory.usage_in_bytes"
        cache = "total_inactive_file"
    try:
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        statistics = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Pages of files that were read count as used, but the kernel gives them up at once.
        return max(0, most - used + int(dict(statistics).get(cache, 0)))
    except (OSError, ValueError):  # no such group, or "max" for no limit
        return _NO_LIMIT


def used_memory(device: torch.device) -> int:
    """Bytes that this process uses on ``device`` now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _from_status("VmRSS")


def largest_memory(device: torch.device) -> int:
    """Largest :func:`used_memory` since :func:`forget_largest`, or since the process started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _from_status("VmHWM")


def forget_largest(device: torch.device) -> None:
    """Let :func:`largest_memory` begin anew; without effect where the system forbids that."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # 5 resets VmHWM


def _from_status(name: str) -> int:
    """Bytes of one line of the kernel's status of this process; 0 on a system without /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
