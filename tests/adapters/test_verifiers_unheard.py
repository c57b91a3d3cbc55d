"""The real `vf-eval` against a server that withholds replies: an error of the rollout, never an empty reply's score."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("verifiers")

from judge_server import Seen, Sent, judge_server, says


@pytest.mark.parametrize("ended", ["content_filter", "stop"])
def test_a_withheld_reply_is_an_error_of_the_rollout(ended: str, tmp_path: Path) -> None:
    def answer(_: Seen) -> Sent:
        usage = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}
        body = json.loads(says("", finish_reason=ended).content)
        return Sent(json.dumps({"id": "x", "created": 1, "model": "m", "usage": usage, **body}).encode())

    with judge_server(answer) as server:
        given = ["--model", "m", "--client.base-url", server.url, "--client.api-key-var", "OPENAI_API_KEY"]
        given += ["--no-push", "--no-rich", "--output-dir", str(tmp_path), "--run.name", "it", "-n", "2"]
        call = [str(Path(sys.executable).parent / "vf-eval"), "gamekeeper-games", "--env.taskset.game", "tamper"]
        environment = {**os.environ, "NO_COLOR": "1", "OPENAI_API_KEY": "none"}
        done = subprocess.run([*call, *given], capture_output=True, text=True, env=environment, timeout=300)
    rows = [json.loads(line) for line in (tmp_path / "it" / "traces.jsonl").read_text().splitlines()]
    traces = [trace for row in rows for trace in row.get("traces", [row])]
    assert len(traces) == 2, done.stdout[-2000:] + done.stderr[-2000:]
    for trace in traces:
        if ended == "stop":  # the model said nothing, which is a reply
            assert not trace.get("errors")
            assert "reward" in trace["rewards"]
        else:
            assert "withheld the reply" in json.dumps(trace["errors"])
            assert not trace.get("rewards")
