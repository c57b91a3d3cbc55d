"""Scramble: the words of the sentence in an order that is not the original one."""

from collections import Counter


def scramble_reward(prompt: str, completion: str, sentence: str) -> float:
    if Counter(completion.split()) != Counter(sentence.split()):
        return 0.0
    return 0.0 if completion.split() == sentence.split() else 1.0
