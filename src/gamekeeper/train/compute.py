"""How the machine is used: threads, precision of matrix products, and memory that is kept rather than returned."""

from __future__ import annotations

import ctypes
import os
import platform
import time

import torch

from gamekeeper.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MALLOC_LIMIT = 32 * 1024 * 1024
_WORTH_IT = 1.3


def free_cores() -> int:
    """Cores of this process that are not kept busy by others, at least 1.

    Torch threads wait for each other actively: one that finds its core taken slows all of them down many times, so
    that fewer threads than cores are faster on a busy machine.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores, round(cores - busy)))


def settle_threads(wanted: int) -> int:
    """Use `wanted` torch threads (0: as many as there are free cores) and say how many."""
    threads = wanted or free_cores()
    torch.set_num_threads(threads)
    return threads


def settle_precision(wanted: str) -> str:
    """ "fp32" or "bf16"; "auto" takes bf16 products where they are clearly faster here, after timing both."""
    if wanted != "auto":
        return wanted
    fp32, bf16 = (_product_seconds(t) for t in (torch.float32, torch.bfloat16))
    return "bf16" if fp32 > _WORTH_IT * bf16 else "fp32"


def _product_seconds(dtype: torch.dtype) -> float:
    a, b = torch.ones(2048, 128, dtype=dtype), torch.ones(128, 768, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return best


def keep_memory() -> None:
    """Tell glibc to keep freed blocks: a training step frees and takes the same megabytes again and again, and
    returning them to the kernel costs a page fault for every 4 kB. Elsewhere than on glibc, nothing is done."""
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MALLOC_LIMIT)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def check_finite(name: str, value: float) -> float:
    """The value, or a UsageError that says what to change."""
    if value != value or value in (float("inf"), float("-inf")):
        raise UsageError(f"Training diverged: {name} is {value}. Lower train.learning_rate, or check the rewards.")
    return value
