"""Randomness by address: every draw is a pure function of the whole path that leads to it.

`seed + i` makes neighbouring seeds share items; hashing the path does not.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

_BITS = 63


def derive(*path: Any) -> int:
    """A 63-bit integer from a path of JSON values, e.g. ("tamper", 1, "train", seed, index)."""
    text = json.dumps(path, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - _BITS)


def rng(*path: Any) -> random.Random:
    """A generator of its own for the path; two paths share no stream."""
    return random.Random(derive(*path))
