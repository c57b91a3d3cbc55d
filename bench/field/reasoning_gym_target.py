"""reasoning-gym's own scoring as a plain function: rows name a data set, a seed and an index; the item is made again.

python reasoning_gym_target.py NAME [N] [SEED] > examples.jsonl
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

PACKAGES = ("reasoning-gym",)
WRONG = ["zebra xylophone", ""]


@functools.cache
def dataset(name: str, size: int, seed: int) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(name, size=size, seed=seed)


def score(completion: str, dataset_name: str, size: int, seed: int, index: int) -> float:
    items = dataset(dataset_name, size, seed)
    return float(items.score_answer(completion, items[index]))


def rows(name: str, n: int = 6, seed: int = 7) -> list[dict[str, Any]]:
    """Rows whose answer is the data set's own; the wrong replies are no answer to anything."""
    items = dataset(name, n, seed)
    fields = [{"dataset_name": name, "size": n, "seed": seed, "index": k} for k in range(n)]
    return [
        {
            "prompt": items[k]["question"],
            "answer": str(items[k]["answer"]),
            **fields[k],
            "wrong_replies": WRONG,
        }
        for k in range(n)
    ]


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    for row in rows(name, *map(int, numbers)):
        print(json.dumps(row, ensure_ascii=False))
