"""Inspect: every game as a task, the pocket model as a provider, runs as logs. This module is the entry point.

inspect eval gamekeeper/tamper --model gamekeeper/pocket
inspect eval gamekeeper/tamper --model openai/gpt-5 -T patches=secure -T n=64 --epochs 4
"""

from gamekeeper.adapters.library import need

need("inspect", "The Inspect adapter")

from gamekeeper.adapters.inspect.provider import PocketAPI, gamekeeper  # noqa: E402 - says first what is missing
from gamekeeper.adapters.inspect.tasks import TASKS, episodes, measured  # noqa: E402

__all__ = ["TASKS", "PocketAPI", "episodes", "gamekeeper", "measured"]
