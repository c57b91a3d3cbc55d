"""Letter of a multiple-choice reply in a chat."""


def letter_reward(completions, answer, **kwargs):
    rewards = []
    for messages, letter in zip(completions, answer, strict=True):
        text = messages[0]["content"].strip()
        rewards.append(1.0 if text in (letter, f"{letter})") else 0.0)
    return rewards
