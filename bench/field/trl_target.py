"""The reward functions that TRL ships, called as its GRPO trainer calls them (conversations, lists, columns)."""

from __future__ import annotations

from typing import Any

from trl import rewards

PACKAGES = ("trl", "math-verify")
SUMS = [("What is 17 + 48?", "65"), ("What is 9 * 13?", "117"), ("What is 1/2 + 1/3?", r"\frac{5}{6}")]

accuracy_reward = rewards.accuracy_reward
reasoning_accuracy_reward = rewards.reasoning_accuracy_reward
think_format_reward = rewards.think_format_reward


def repetition_penalty(completions: list[Any], **kwargs: Any) -> list[Any]:
    """Repeated pairs of tokens cost up to 1; here a token is a word."""
    words = [messages[0]["content"].split() for messages in completions]
    numbers = {word: n for n, word in enumerate(sorted({word for text in words for word in text}))}
    ids = [[numbers[word] for word in text] for text in words]
    return list(rewards.get_repetition_penalty_reward(ngram_size=2, max_penalty=-1.0)(completion_ids=ids))


def cosine_scaled_reward(completions: list[Any], solution: list[str], **kwargs: Any) -> list[Any]:
    """Lengths are tokens for the trainer; here a token is a word."""
    ids = [[0] * len(messages[0]["content"].split()) for messages in completions]
    return list(rewards.get_cosine_scaled_reward(max_len=100)(completions, solution=solution, completion_ids=ids))


def rows(name: str) -> list[dict[str, Any]]:
    out = []
    for question, gold in SUMS:
        boxed, wrong = rf"The result is $\boxed{{{gold}}}$.", r"The result is $\boxed{1000}$."
        if name == "reasoning_accuracy_reward":
            boxed, wrong = f"<think>I compute.</think>{boxed}", f"<think>I compute.</think>{wrong}"
        if name == "think_format_reward":
            boxed, wrong = f"<think>\nI compute.\n</think>\n{gold}", gold
        if name == "repetition_penalty":
            boxed, wrong = f"I add both numbers and get {gold}", "so so so so so so so so"
        prompt = [{"role": "user", "content": question}]
        out.append({"prompt": prompt, "solution": f"${gold}$", "answer": boxed, "wrong_reply": wrong})
    return out
