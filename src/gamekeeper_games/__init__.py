"""All games as one taskset for verifiers: `vf-eval gamekeeper-games --env.taskset.game tamper`.

verifiers finds a taskset by the name of a top-level module, which is why this one stands beside the package.
"""

from gamekeeper.adapters.verifiers import GameEnv, GameHarness, GameTaskset

__all__ = ["GameEnv", "GameHarness", "GameTaskset"]
