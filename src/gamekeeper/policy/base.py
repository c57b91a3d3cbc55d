"""What a policy is: something that answers prompts with sampled text.

Trainable policies also return the token ids and log-probabilities that the update needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gamekeeper.types import Prompt


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to sample. temperature 0 is greedy; top_p 1 and top_k 0 are off."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply. `logps` are those of the sampling distribution, one for each of `tokens` (the end token included).

    truncated: the reply was cut off at the token limit.
    failed: why there is no reply. The policy could not be reached or refused; what it would have said is not known.
    """

    text: str
    prompt_tokens: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    logps: tuple[float, ...] = ()
    truncated: bool = False
    failed: str | None = None


class Policy(Protocol):
    """`sample` gives one reply for each prompt; equal prompts get independent replies. Same seed path, same replies."""

    def sample(self, prompts: Sequence[Prompt], decoding: Decoding, seed: Sequence[Any]) -> list[Sample]: ...
