"""The machine's matrix-product peak, as torch reaches it: the yardstick for the share that training uses.

Measures C = A @ B in fp32 and bf16 at the pocket model's shapes and at large squares; the best rate over repeats is
the peak of each. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch

# (rows, inner, columns): a minibatch through the pocket model's three kinds of projection, then squares.
SHAPES = {
    "qkv": (8192, 128, 256),
    "gate_up": (8192, 128, 768),
    "vocabulary": (8192, 128, 1024),
    "square_512": (512, 512, 512),
    "square_1024": (1024, 1024, 1024),
    "square_2048": (2048, 2048, 2048),
}


def gflops(shape: tuple[int, int, int], dtype: torch.dtype, repeats: int) -> float:
    """The best rate of several products, in 10^9 floating-point operations a second."""
    rows, inner, columns = shape
    a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    out = torch.mm(a, b)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best / 1e9


def measure(repeats: int) -> dict[str, object]:
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    rates = {kind: {name: gflops(s, dtype, repeats) for name, s in SHAPES.items()} for kind, dtype in kinds.items()}
    peaks = {kind: max(by_shape.values()) for kind, by_shape in rates.items()}
    return {"threads": torch.get_num_threads(), "gflops": rates, "peak": peaks}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(json.dumps(measure(args.repeats)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
