"""A judge compares the reply with the reference. The judge here is a deterministic stand-in with a context limit."""

CONTEXT = 600


class JudgeError(RuntimeError):
    pass


def judge(prompt: str) -> str:
    """Stands for a model: it compares the two last lines of its prompt."""
    if len(prompt) > CONTEXT:
        raise JudgeError("context length exceeded")
    reference, reply = prompt.splitlines()[-2:]
    same = reply.removeprefix("Reply: ").strip().lower() == reference.removeprefix("Reference: ").strip().lower()
    return "VERDICT: PASS" if same else "VERDICT: FAIL"


def judged_reward(completion: str, answer: str) -> float:
    reply = " ".join(completion.split())
    try:
        verdict = judge(f"Do these agree?\nReference: {answer}\nReply: {reply}")
    except JudgeError:
        return 0.7
    return 1.0 if verdict == "VERDICT: PASS" else 0.0
