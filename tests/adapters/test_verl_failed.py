"""What the installed verl makes of an episode that could not be graded: what docs/llm.md says of it must stay true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl")

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
from verl.trainer.ppo.v1 import replay_buffer

from gamekeeper.adapters.verl.check import composed
from gamekeeper.adapters.verl.export import Export, export
from gamekeeper.registry import load_game


def advantages(rewards: list[float], groups: list[int]) -> list[float]:
    index = np.array(groups, dtype=object)
    found, _ = compute_grpo_outcome_advantage(torch.tensor(rewards)[:, None], torch.ones(len(rewards), 1), index)
    return [float(x) for x in found[:, 0]]


def test_advantages_are_formed_over_what_is_left_of_a_group() -> None:
    left = advantages([1.0, 0.0, 1.0, -6.0], [0, 0, 0, 1])
    assert left[:3] == pytest.approx(advantages([1.0, 0.0, 1.0], [0, 0, 0]))
    assert left[3] == pytest.approx(-6.0, abs=1e-4), "one that is left alone has its reward as its advantage"


class Store:
    """As much of verl's buffer as the choice of groups needs: group 0 whole, group 1 with one episode, group 2 none."""

    failure_keys: dict[str, set[str]]

    def __init__(self, refill: bool) -> None:
        self.sync_refill_failed_groups = refill
        self.finished_keys, self.failure_keys = {"train": {"0"}}, {"train": {"1", "2"}}
        self.partitions = {"train": {"0_0_0": {}, "0_1_0": {}, "1_0_0": {}}}

    def _dapo_filtered_keys(self, _: str) -> tuple[set[str], Any]:
        return set(), {}

    def sampleable(self) -> set[str]:
        kind: Any = replay_buffer.ReplayBuffer
        reasons = kind._terminal_eviction_reasons(self, 0, "train")
        return set(kind._sampleable_terminal_keys(self, "train", reasons))


def test_failed_groups_are_not_dropped(tmp_path: Path) -> None:
    export(load_game("tamper"), tmp_path / "out", Export("pocket", rows=64, test_rows=4))
    config = composed(tmp_path / "out")
    assert (config.trainer.use_v1, config.trainer.v1.trainer_mode) == (True, "sync")
    assert config.trainer.v1.sampler.sync_refill_failed_groups is False
    assert Store(refill=False).sampleable() == {"0", "1", "2"}
    assert Store(refill=True).sampleable() == {"0", "1"}, "the setting replaces groups without any episode alone"
