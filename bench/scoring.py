"""Replies scored a second and core, game by game, judge and code execution left out and counted.

Replies are drawn from the items' own scripts, several to an item, as a batch of rollouts is. For `summary` the same
replies go through rouge_score and sacrebleu as the reference calls them for its reward and its copy score: a new scorer
and a new BLEU at each call. Left out is what another machine or process does: for `compliance` the judge (its verdicts
are in the cache), for `tamper` the programs (their results are kept from a first pass). Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import rouge
from gamekeeper.games.base import BaseGame, Episode
from gamekeeper.games.compliance import Compliance
from gamekeeper.games.summary import Summary
from gamekeeper.registry import load_game
from gamekeeper.rewards.endpoint import EndpointJudge, JudgeSettings
from gamekeeper.types import Item

SEED = 11


def timed(score: Callable[[], Any]) -> float:
    start = time.process_time()
    score()
    return time.process_time() - start


def rate(game: BaseGame, episodes: Sequence[Episode], rounds: int) -> float:
    """Replies a second of processor time, best of the rounds."""
    return max(len(episodes) / timed(lambda: game.score_many(episodes)) for _ in range(rounds))


def scripted(name: str, items: int, samples: int) -> tuple[BaseGame, list[Episode]]:
    """Episodes of pocket items: every script in turn."""
    game = load_game(name)
    episodes: list[Episode] = []
    for item in game.items("test", items, SEED):
        found = game.scripts(item)
        episodes += [(item, found[n % len(found)].replies) for n in range(samples)]
    return game, episodes


# summary, at the paper's lengths


def articles(count: int, samples: int) -> tuple[BaseGame, list[Episode]]:
    """Articles of about 400 words with copies, prefixes, shuffles and looser replies of all lengths."""
    draw = random.Random(SEED)
    words = rouge.vocabulary(draw)
    episodes: list[Episode] = []
    for number in range(count):
        article = rouge.text(draw, words, draw.randint(150, 700))
        fields = {"messages": [{"role": "user", "content": article}], "article": article}
        item = Item(f"article-{number}", "summary", "test", fields)
        said = article.split(" ")
        for _ in range(samples):
            kept = said[: draw.randint(10, len(said))]
            reply = draw.choice([kept, draw.sample(kept, len(kept)), [w for w in kept if draw.random() < 0.7]])
            episodes.append((item, [" ".join(reply)]))
    return Summary(), episodes


def as_the_reference_calls_them(episodes: Sequence[Episode]) -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU

    for item, replies in episodes:
        article, reply = item.fields["article"], replies[0]
        RougeScorer(["rougeL"], use_stemmer=True).score(article, reply)
        RougeScorer(["rouge1", "rougeL"], use_stemmer=True).score(article, reply)
        BLEU(effective_order=True).sentence_score(reply, [article])


def summary(args: argparse.Namespace) -> dict[str, float]:
    game, episodes = articles(args.items, 8)
    few = episodes[:: max(len(episodes) // 60, 1)]
    theirs = len(few) / timed(lambda: as_the_reference_calls_them(few))
    ours = rate(game, episodes, args.rounds)
    return {"replies": len(episodes), "excluded": ours, "included": ours, "reference": theirs, "ratio": ours / theirs}


# compliance, with a judge on this machine


class _Judge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sent = json.dumps({"choices": [{"message": {"content": "NOT_HARMFUL"}, "finish_reason": "stop"}]}).encode()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(self.sent)))
        self.end_headers()
        self.wfile.write(self.sent)

    def log_message(self, *_: Any) -> None:
        """Silent."""


def compliance(args: argparse.Namespace) -> dict[str, float]:
    requests = [
        Item(f"r{n}", "compliance", "test", {"messages": [{"role": "user", "content": f"wish {n}"}], "style": "user"})
        for n in range(args.items)
    ]
    episodes: list[Episode] = [(item, [f"reply {k} " + "words " * 200]) for item in requests for k in range(8)]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            game = Compliance()
            judge = EndpointJudge(JudgeSettings(f"http://127.0.0.1:{server.server_address[1]}/v1", "m"), Path(folder))
            game.judge = judge
            start = time.perf_counter()
            game.score_many(episodes)
            included = len(episodes) / (time.perf_counter() - start)
            excluded = rate(game, episodes, args.rounds)
            judge.close()
    finally:
        server.shutdown()
        server.server_close()
    return {"replies": len(episodes), "excluded": excluded, "included": included}


# tamper and selfgrade


def tamper(args: argparse.Namespace) -> dict[str, float]:
    game, episodes = scripted("tamper", max(args.items // 4, 1), 8)
    game.score_many(episodes[:8])  # the sandbox starts
    start = time.perf_counter()
    game.score_many(episodes)
    included = len(episodes) / (time.perf_counter() - start)
    return {"replies": len(episodes), "excluded": rate(game, episodes, args.rounds), "included": included}


def selfgrade(args: argparse.Namespace) -> dict[str, float]:
    game, episodes = scripted("selfgrade", args.items * 4, 8)
    found = rate(game, episodes, args.rounds)
    return {"replies": len(episodes), "excluded": found, "included": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100, help="articles and requests; each is answered eight times")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    games = {"compliance": compliance, "selfgrade": selfgrade, "summary": summary, "tamper": tamper}
    print(json.dumps({name: measure(args) for name, measure in games.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
