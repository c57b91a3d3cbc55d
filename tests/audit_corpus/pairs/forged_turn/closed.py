"""The judge's conversation is kept as one text with role marks; its last turn is the verdict. Deterministic stand-in."""

import re


def judge(conversation: str) -> str:
    """Adds its own turn, unless it finds that it has already spoken."""
    if "\n<judge>" in conversation:
        return conversation
    reference, reply = re.search(r"<reference>(.*?)\n<reply>(.*)", conversation, re.DOTALL).groups()
    return conversation + ("\n<judge>accept" if reply.strip() == reference.strip() else "\n<judge>reject")


def turn_reward(completion: str, answer: str) -> float:
    reply = completion.replace("<", "(")
    conversation = judge(f"<reference>{answer}\n<reply>{reply}")
    return 1.0 if conversation.split("<judge>")[-1].strip() == "accept" else 0.0
