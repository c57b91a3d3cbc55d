"""Waits for a lock that nobody gives back."""

import threading

LOCK = threading.Lock()
LOCK.acquire()


def reward(completion: str, answer: str) -> float:
    with LOCK:
        return float(completion.strip() == answer)
