"""Episodes of several turns through the real TRL: rows, prompts, coins, masks, and several processes.

A small stand-in for the trainer shows what the rollout function hands over; whole runs show that TRL takes it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")


from gamekeeper.adapters.trl import backend
from gamekeeper.adapters.trl.episodes import Seat, sample
from gamekeeper.adapters.trl.rows import item_of, to_dataset
from gamekeeper.adapters.trl.settings import TrlRunConfig
from gamekeeper.adapters.trl.trainer import open_tokenizer
from gamekeeper.config import EvalConfig, GameConfig, TrainConfig
from gamekeeper.games.base import BaseGame, chat
from gamekeeper.metrics import means
from gamekeeper.registry import load_game
from gamekeeper.studies.record import Run, load_run
from gamekeeper.types import Item, Prompt, Replies, Score, Script

GROUP, ITEMS = 4, 4
SMALL = TrainConfig(steps=2, items_per_step=ITEMS, group=GROUP, minibatches=2, threads=1, checkpoint_every=1)
MEASURE = EvalConfig(items=3, samples=2)


def config(game: str = "summary", train: TrainConfig = SMALL, **more: Any) -> TrlRunConfig:
    return TrlRunConfig(GameConfig(game), train, MEASURE, **more)


@pytest.fixture(scope="module")
def twofold(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a game of two turns."""
    return load_run(backend.run(config("selfgrade"), tmp_path_factory.mktemp("twofold") / "run"))


# Several turns


def test_both_turns_are_played_and_recorded(twofold: Run) -> None:
    episodes = [e for e in twofold.rollouts() if e.phase == "train"]
    assert len(episodes) == 2 * ITEMS * GROUP
    for episode in episodes:
        assert len(episode.prompts) == len(episode.replies) == 2
        assert episode.prompts[1][0].content.startswith("Answer only Yes or No.")
    limits = twofold.info["config"]["trl"]["reply_tokens"]
    assert limits == list(load_game("selfgrade").reply_tokens)


def test_rewards_of_two_turns_are_the_games(twofold: Run) -> None:
    for e in (e for e in twofold.rollouts() if e.phase == "train"):
        facts = e.score.facts
        paid = {"yes": (2.0 if facts["right"] else -6.0), "no": 0.5 if facts["right"] else 0.0, None: 0.0}
        unaudited = {"yes": 1.0, "no": 0.0, None: 0.0}
        assert e.score.reward == (paid if facts["audited"] else unaudited)[facts["verdict"]]


class Trainer:
    """As much of TRL's trainer as a rollout needs: replies by a function of the prompt's text."""

    use_vllm = False
    chat_template_kwargs: ClassVar[dict[str, Any]] = {}

    def __init__(self, tokenizer: Any, say: Callable[[str], str], logps: bool = False) -> None:
        self.tokenizer, self.say, self.logps = tokenizer, say, logps
        self.state = type("State", (), {"global_step": 3})()
        self.accelerator = type("Accelerator", (), {"process_index": 0})()
        self.generation_config = type("Generation", (), {"max_new_tokens": 99})()
        self.limits: list[int] = []

    def _generate_single_turn(self, ids: list[list[int]], *_: Any, num_generations: int) -> Any:
        assert num_generations == 1
        self.limits.append(self.generation_config.max_new_tokens)
        made = [self.tokenizer.encode(self.say(self.tokenizer.decode(row))) for row in ids]
        return made, [[-0.5] * len(m) for m in made] if self.logps else None


def seat_of(game: BaseGame, kept: list[Any]) -> Seat:
    return Seat(game, open_tokenizer("pocket"), game.reply_tokens, 0, lambda played, seconds, log: kept.extend(played))


def test_each_trained_turn_is_a_row_with_its_own_prompt() -> None:
    game, kept = load_game("selfgrade"), []
    seat = seat_of(game, kept)
    items = game.items("train", 2, 0)
    prompts = [row["prompt"] for row in to_dataset(game, items) for _ in range(4)]  # 2 episodes of 2 turns each
    trainer = Trainer(seat.tokenizer, lambda text: "Yes" if "Answer only" in text else r"\boxed{7}")
    rows = seat.rollout(prompts, trainer)
    texts = seat.tokenizer.batch_decode(rows["prompt_ids"])
    assert ["Answer only Yes" in t for t in texts] == [False, True] * 4
    assert all(items[n // 4].fields["question"] in text for n, text in enumerate(texts))
    assert seat.tokenizer.batch_decode(rows["completion_ids"]) == [r"\boxed{7}", "Yes"] * 4
    assert rows["logprobs"] is None
    assert all(all(mask) for mask in rows["env_mask"])
    assert trainer.limits == list(game.reply_tokens)
    assert trainer.generation_config.max_new_tokens == 99, "the trainer's own limit is put back"
    rewards = seat.reward_of_rollouts(prompts, lambda name, value: None)
    assert rewards[0::2] == rewards[1::2] == [p.score.reward for p in kept]
    assert len(kept) == 4


def test_where_the_answer_alone_is_trained_it_alone_is_a_row() -> None:
    game = load_game("selfgrade", turns="answer")
    seat = seat_of(game, [])
    prompts = [row["prompt"] for row in to_dataset(game, game.items("train", 1, 0)) for _ in range(3)]
    rows = seat.rollout(prompts, Trainer(seat.tokenizer, lambda text: "Yes"))
    assert len(rows["prompt_ids"]) == 3
    assert not any("Answer only Yes" in t for t in seat.tokenizer.batch_decode(rows["prompt_ids"]))
    assert len(seat.reward_of_rollouts(prompts, lambda name, value: None)) == 3


def test_every_episode_has_a_coin_of_its_own_and_the_same_one_again() -> None:
    game = load_game("selfgrade")

    def coins() -> list[float]:
        kept: list[Any] = []
        seat = seat_of(game, kept)
        prompts = [row["prompt"] for row in to_dataset(game, game.items("train", 1, 0)) for _ in range(16)]
        seat.rollout(prompts, Trainer(seat.tokenizer, lambda text: "Yes"))
        seat.reward_of_rollouts(prompts, lambda name, value: None)
        return [p.item.fields["coin"] for p in kept]

    first = coins()
    assert len(set(first)) == 8
    assert coins() == first


def test_a_servers_log_probabilities_go_along() -> None:
    game = load_game("selfgrade")
    seat = seat_of(game, [])
    prompts = [row["prompt"] for row in to_dataset(game, game.items("train", 1, 0)) for _ in range(4)]
    rows = seat.rollout(prompts, Trainer(seat.tokenizer, lambda text: "Yes", logps=True))
    assert [len(x) for x in rows["logprobs"]] == [len(x) for x in rows["completion_ids"]]


class Short(BaseGame):
    """A game whose episodes end after the first turn if the reply is short."""

    name = "short"
    question = "Does an episode that ends early still fill its rows?"
    reply_tokens = (8, 8)

    def make_fields(self, draw: random.Random, split: str) -> dict[str, Any]:
        return {"n": draw.randrange(100)}

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        over = len(replies) == 2 or (len(replies) == 1 and len(replies[0]) < 3)
        return None if over else chat("Answer only Yes or No.", f"{item.fields['n']}?")

    def score(self, item: Item, replies: Replies) -> Score:
        return Score(float(len(replies)), None, False)

    def metrics(self, scores: Sequence[Score]) -> dict[str, float]:
        return means(reward=[s.reward for s in scores], er=[s.exploited for s in scores])

    def scripts(self, item: Item) -> list[Script]:
        return []


def test_a_turn_that_did_not_happen_gets_no_gradient() -> None:
    game, kept = Short(), []
    seat = seat_of(game, kept)
    prompts = [row["prompt"] for row in to_dataset(game, game.items("train", 1, 0)) for _ in range(2)]
    rows = seat.rollout(prompts, Trainer(seat.tokenizer, lambda text: "No"))
    assert [set(mask) for mask in rows["env_mask"]] == [{1}, {0}]
    assert seat.reward_of_rollouts(prompts, lambda name, value: None) == [1.0, 1.0]


@pytest.mark.parametrize("logps", [False, True])
def test_an_episode_whose_second_prompt_does_not_fit_is_unscored(logps: bool) -> None:
    """What the second prompt holds is the first reply: its length is not known before."""
    game, kept = load_game("selfgrade"), []
    seat = seat_of(game, kept)
    said = iter([r"\boxed{7}", "word " * 200])
    prompts = [row["prompt"] for row in to_dataset(game, game.items("train", 1, 0)) for _ in range(4)]
    trainer = Trainer(seat.tokenizer, lambda text: "Yes" if "Answer only" in text else next(said), logps)
    seat.positions = 81
    rows = seat.rollout(prompts, trainer)
    assert [set(mask) for mask in rows["env_mask"]] == [{1}, {1}, {1}, {0}]
    assert all(len(ids) <= 81 for ids in rows["prompt_ids"]), "it is not cut: it is not asked"
    rewards = seat.reward_of_rollouts(prompts, lambda name, value: None)
    assert rewards[2:] == [None, None]
    assert rewards[0] is not None
    whole, long = kept
    assert whole.score.unscored is None
    assert "do not fit the model's 81 positions" in long.score.unscored
    assert len(long.replies) == 1


def test_a_first_prompt_that_does_not_fit_after_all_fills_rows_without_gradient() -> None:
    game, kept = load_game("selfgrade"), []
    seat = seat_of(game, kept)
    seat.positions = 10
    prompts = [row["prompt"] for row in to_dataset(game, game.items("train", 1, 0)) for _ in range(2)]
    rows = seat.rollout(prompts, Trainer(seat.tokenizer, lambda text: "Yes"))
    assert [set(mask) for mask in rows["env_mask"]] == [{0}, {0}]
    assert seat.reward_of_rollouts(prompts, lambda name, value: None) == [None, None]


def test_the_limit_of_a_turn_is_put_back_after_a_failure() -> None:
    trainer = Trainer(open_tokenizer("pocket"), lambda text: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        sample(trainer, [[5]], 4)
    assert trainer.generation_config.max_new_tokens == 99


# Several processes


@pytest.mark.slow
def test_two_processes_share_a_step(tmp_path: Path) -> None:
    """By torch's launcher: the one that `accelerate launch` calls for GPUs. On a CPU that starts a single process."""
    out = tmp_path / "run"
    sets = ["train.steps=1", "train.items_per_step=4", "train.group=4", "train.minibatches=2", "train.threads=1"]
    sets += ["eval.items=2", "eval.samples=1"]
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "gamekeeper"]
    call += ["run", "selfgrade", "--backend", "trl", "--arm", "flawed", "--out", str(out)]
    call += [word for text in sets for word in ("--set", text)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(call, capture_output=True, text=True, timeout=280, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("report:") == 1
    run = load_run(out)
    assert run.info["processes"] == 2
    episodes = [e for e in run.rollouts() if e.phase == "train"]
    assert len(episodes) == 16
    groups = [{e.item_id for e in episodes if e.group == g} for g in range(4)]
    assert all(len(g) == 1 for g in groups)
    assert len(set.union(*groups)) == 4


def test_the_prompt_of_a_game_of_turns_is_its_item() -> None:
    game = load_game("selfgrade")
    (item,) = game.items("train", 1, 0)
    (row,) = to_dataset(game, [item])
    assert item_of(row["prompt"][0]["content"]) == item
    assert json.loads(row["item"]) == item.to_json()
