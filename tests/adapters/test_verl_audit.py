"""verl's scorers, and a user's own compute_score, as audit targets, against the real verl."""

from __future__ import annotations

import pytest

pytest.importorskip("verl")

from gamekeeper.errors import UsageError
from library_audits import FILE, opened


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("gsm8k", "#### %s", "#### 3"),
        ("openai/gsm8k", "#### %s", "#### 3"),
        ("math_reward", r"\boxed{%s}", r"\boxed{3}"),
        ("math_dapo", "Answer: %s", "Answer: 3"),
        ("math_batch", r"\boxed{%s}", r"\boxed{3}"),
        ("prime_math", r"\boxed{%s}", r"\boxed{3}"),
        ("geo3k", r"<think>so</think> \boxed{%s}", r"<think>so</think> \boxed{3}"),
        ("searchR1_nq", "<answer>%s</answer>", "<answer>3</answer>"),
    ],
)
def test_verl_scores_by_module_and_by_data_source(name: str, right: str, wrong: str) -> None:
    with opened(f"verl:{name}") as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        good, bad = target.grade([(0, (right % answer,)), (0, (wrong,))])
    assert good.error == bad.error == ""
    assert good.reward == 1.0
    assert bad.reward is not None
    assert bad.reward < good.reward


def test_verl_custom_functions_take_reward_kwargs() -> None:
    with opened(f"verl:{FILE}:compute_score", bonus=0.25) as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        assert [p.reward for p in target.grade([(0, (answer,)), (0, ("no",))])] == [1.25, 0.25]


def test_verl_says_what_it_can_score() -> None:
    with pytest.raises(UsageError, match=r"scorer or data source of verl 'gsm'.*prime_code"):
        opened("verl:gsm")
