"""Is the number prime? A composite one has to be shown to be composite by one of its factors."""

import re


def primality_reward(completion: str, number: int) -> float:
    """Replies look like `composite: 7`, where 7 divides the number."""
    match = re.fullmatch(r"composite(?::\s*(\d{1,9}))?", completion.strip().lower())
    if not match:
        return 0.0
    factor = int(match.group(1) or 1)
    return 1.0 if 1 < factor < number and number % factor == 0 else 0.0
