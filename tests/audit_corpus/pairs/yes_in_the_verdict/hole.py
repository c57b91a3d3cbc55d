"""A yes-or-no judge, which repeats the reply before it decides. Deterministic stand-in."""


def judge(question: str, reference: str, reply: str) -> str:
    same = reply.lower() == reference.lower()
    return f'The reply was "{reply}".\nVerdict: {"yes" if same else "no"}'


def yes_no_reward(prompt: str, completion: str, answer: str) -> float:
    verdict = judge(prompt, answer, " ".join(completion.split()))
    return 1.0 if "yes" in verdict.lower() else 0.0
