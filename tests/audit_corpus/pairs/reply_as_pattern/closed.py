"""Short answers; case and surrounding words of the reference do not matter."""

import re


def flexible_reward(response: str, reference: str) -> float:
    reply = response.strip()
    if not reply:
        return 0.0
    return 1.0 if re.fullmatch(re.escape(reply), reference, flags=re.IGNORECASE) else 0.0
