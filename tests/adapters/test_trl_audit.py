"""TRL's reward functions, and a user's own of that shape, as audit targets, against the real TRL."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("trl")

from gamekeeper.audit import FOOLED
from gamekeeper.errors import UsageError
from library_audits import FILE, opened, outcome


@pytest.mark.parametrize(
    ("name", "params", "right", "wrong"),
    [
        ("accuracy_reward", {}, r"\boxed{%s}", r"\boxed{3}"),
        ("reasoning_accuracy_reward", {}, r"<think>so</think>\boxed{%s}", r"<think>so</think>\boxed{3}"),
        ("think_format_reward", {}, "<think>\nso\n</think>\n%s", "%s"),
        ("get_cosine_scaled_reward", {"max_len": 100}, r"\boxed{%s}", r"\boxed{3}"),
        ("get_repetition_penalty_reward", {"ngram_size": 2, "max_penalty": -1}, "it is %s", "so so so so so so"),
        (
            "get_soft_overlong_punishment",
            {"max_completion_len": 10, "soft_punish_cache": 5},
            "it is %s",
            "so " * 20,
        ),
    ],
)
def test_trl_pays_its_own_reward(name: str, params: dict[str, Any], right: str, wrong: str) -> None:
    with opened(f"trl:{name}", **params) as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        texts = [t % answer if "%s" in t else t for t in (right, wrong)]
        good, bad = (p.reward for p in target.grade([(0, (t,)) for t in texts]))
    assert good is not None
    assert bad is not None
    assert good > bad


def test_trl_functions_of_a_users_own() -> None:
    with opened(f"trl:{FILE}:containment") as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        assert [p.reward for p in target.grade_together([(0, (answer,)), (1, ("no",))])] == [1.0, 0.0]
    assert outcome(f"trl:{FILE}:containment").outcome == FOOLED
    assert outcome(f"trl:{FILE}:of_texts").reach.binding.endswith("as texts")


def test_trl_factories_need_their_arguments() -> None:
    with pytest.raises(UsageError, match=r"by --param: \(max_completion_len: int"):
        opened("trl:get_soft_overlong_punishment")
    with pytest.raises(UsageError, match="takes no --param"):
        opened("trl:accuracy_reward", max_len=3)
