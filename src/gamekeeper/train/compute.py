"""How the machine is used: threads, precision of matrix products, and memory that is kept rather than returned."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping
from typing import Any

import torch

from gamekeeper.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MALLOC_LIMIT = 32 * 1024 * 1024


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
    """ "fp32" or "bf16"; "auto" takes bf16 products where the processor has instructions for them.

    By what the processor says, and not by timing both: on a busy machine the clock says one thing today and another
    tomorrow, and equal runs would have different results.
    """
    if wanted != "auto":
        return wanted
    ask = getattr(torch.cpu, "get_capabilities", dict)  # what an older torch does not say, it is not asked for
    return "bf16" if _multiplies_bf16(ask()) else "fp32"


def _multiplies_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Emulated, as where none of these is there, bf16 products are slower than those of fp32."""
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))


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
