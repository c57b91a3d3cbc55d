"""The game from TRL's side: a reward function, and for episodes of several turns a rollout function.

TRL trains on rows of one prompt and one completion. Each trained turn of an episode is a row of its own, with the
prompt that the policy saw in that turn and the episode's reward, as in the native trainer. A group of G episodes with K
trained turns is therefore a group of G*K rows for TRL. Its mean is that of the episodes; its Bessel-corrected standard
deviation is smaller by sqrt((2G-2)/(2G-1)) for K = 2, so advantages are 3.5% larger for G = 8.

Rewards come from `score_many` alone. What it measured besides is handed to `keep`, which trains nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gamekeeper.adapters.trl.rows import item_of, no_room, prompt_ids, trained_turns
from gamekeeper.games.base import BaseGame
from gamekeeper.seeds import rng
from gamekeeper.types import Item, Prompt, Score


@dataclass(slots=True)
class Turn:
    """One prompt and its reply, as text and as tokens."""

    prompt: Prompt
    prompt_ids: list[int]
    reply_ids: list[int]
    reply: str
    logps: list[float] | None = None  # of the sampler, where it tells


@dataclass(slots=True)
class Played:
    """One episode on its way: turns, then the score. stopped: why it ended before its time."""

    item: Item
    turns: list[Turn] = field(default_factory=list)
    stopped: str | None = None
    score: Score = Score(None, None, None, unscored="not yet scored")  # noqa: RUF009 - frozen

    @property
    def replies(self) -> tuple[str, ...]:
        return tuple(t.reply for t in self.turns)


Keep = Callable[[Sequence[Played], float, Callable[[str, float], None]], None]
"""Takes a batch of scored episodes, the seconds that scoring took, and TRL's logger of metrics."""


class Seat:
    """Where a game sits in TRL's trainer. One object holds what passes from a rollout to its reward."""

    positions: int | None = None
    """Of the model. An episode whose next prompt leaves no room for its reply ends there, unscored."""

    def __init__(self, game: BaseGame, tokenizer: Any, limits: Sequence[int], seed: int, keep: Keep) -> None:
        self.game, self.tokenizer, self.limits, self.seed, self.keep = game, tokenizer, limits, seed, keep
        self.trained = trained_turns(game)
        self._open: list[Played] = []

    # One turn: TRL samples, we score.

    def reward(
        self,
        prompts: Sequence[Any],
        completion_ids: Sequence[list[int]],
        item: Sequence[str],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float | None]:
        """TRL's reward function where it samples the only turn itself."""
        texts = self.tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
        played = []
        for text, ids, reply in zip(item, completion_ids, texts, strict=True):
            task = item_of(text)
            played.append(Played(task, [Turn(self.game.prompt(task) or (), [], ids, reply)]))
        self._grade(played, log_metric)
        return [p.score.reward for p in played]

    # Several turns: we sample by TRL's means, and score.

    def rollout(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """TRL's rollout function: plays the episodes of this process, one row for each trained turn."""
        step = (trainer.state.global_step, trainer.accelerator.process_index)
        texts = [prompt[0]["content"] for prompt in prompts[:: len(self.trained)]]
        self._open = [
            Played(self.game.realize(item_of(text), rng("chance", "trl", self.seed, *step, row)))
            for row, text in enumerate(texts)
        ]
        for turn in range(len(self.limits)):
            self._take_turn(turn, trainer)
        return self._rows(trainer)

    def _take_turn(self, turn: int, trainer: Any) -> None:
        asked = [(p, self.game.prompt(p.item, p.replies)) for p in self._open]
        told = trainer.chat_template_kwargs
        known = [(p, q, prompt_ids(self.tokenizer, q, told)) for p, q in asked if q is not None and p.stopped is None]
        for played, _, ids in known:
            played.stopped = no_room(len(ids), self.limits[turn], self.positions)
        going = [(p, prompt, ids) for p, prompt, ids in known if p.stopped is None]
        if not going:
            return
        made, logps = sample(trainer, [ids for _, _, ids in going], self.limits[turn])
        texts = self.tokenizer.batch_decode(made, skip_special_tokens=True)
        for n, (played, prompt, ids) in enumerate(going):
            played.turns.append(Turn(prompt, ids, made[n], texts[n], logps[n] if logps else None))

    def _rows(self, trainer: Any) -> dict[str, Any]:
        rows = [(p, turn) for p in self._open for turn in self.trained]
        # An episode that ended early still fills its rows; what stands in for a missing turn gets no gradient.
        end = self.tokenizer.eos_token_id
        nothing = Turn((), [end], [end], "", [0.0])
        turns = [p.turns[min(turn, len(p.turns) - 1)] if p.turns else nothing for p, turn in rows]
        masks = [[int(turn < len(p.turns))] * len(t.reply_ids) for (p, turn), t in zip(rows, turns, strict=True)]
        return {
            "prompt_ids": [t.prompt_ids for t in turns],
            "completion_ids": [t.reply_ids for t in turns],
            "logprobs": [t.logps for t in turns] if all(t.logps is not None for t in turns) else None,
            "env_mask": masks,
        }

    def reward_of_rollouts(
        self, prompts: Sequence[Any], log_metric: Callable[[str, float], None], **_: Any
    ) -> list[float | None]:
        """TRL's reward function where `rollout` has played: the episode's reward on each of its rows."""
        self._grade(self._open, log_metric)
        return [p.score.reward for p in self._open for _ in self.trained]

    def _grade(self, played: list[Played], log_metric: Callable[[str, float], None]) -> None:
        started = time.perf_counter()
        whole = [p for p in played if p.stopped is None]
        for episode, score in zip(whole, self.game.score_many([(p.item, p.replies) for p in whole]), strict=True):
            episode.score = score
        for episode in played:
            if episode.stopped is not None:
                episode.score = Score.failed(episode.stopped)
        self.keep(played, time.perf_counter() - started, log_metric)


def sample(trainer: Any, ids: list[list[int]], limit: int) -> tuple[list[list[int]], list[list[float]] | None]:
    """One reply of at most `limit` tokens to each prompt, by whatever the trainer generates with; and the sampler's
    log-probabilities if it is a server."""
    holder, name = (trainer.vllm_generation, "max_completion_length") if trainer.use_vllm else (None, "")
    if holder is None:
        holder, name = trainer.generation_config, "max_new_tokens"
    before = getattr(holder, name)
    setattr(holder, name, limit)
    try:
        return trainer._generate_single_turn(ids, None, {}, num_generations=1)
    finally:
        setattr(holder, name, before)
