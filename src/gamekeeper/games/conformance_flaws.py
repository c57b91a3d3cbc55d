"""The checks of what a flaw and its repair are, that nothing depends on the interpreter, and that the corpus is honest.

Written as `conformance_checks` is. A flaw is judged over a batch and by means, so that a game whose exploit shows in
batches only (a gap between two kinds of prompt) or whose pay is a gamble (an audit) is held to the same demands.
"""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.games.conformance_bench import (
    HASH_SEEDS,
    Bench,
    NotApplicable,
    Played,
    conversation,
    digests,
    mean_reward,
)
from gamekeeper.games.conformance_checks import ROLES, TOLERANCE, Problems, near
from gamekeeper.metrics import mean
from gamekeeper.types import Message

PRIMERS = 60


def exploit_pays(bench: Bench) -> Problems:
    """In the flawed arm the exploit script is exploited, and paid more than it is worth."""
    bench.scripted()
    if not bench.has_flaw:
        raise NotApplicable("the game has no flaw")
    if not bench.is_arm("flawed"):
        raise NotApplicable("only asked of the flawed arm")
    exploit, honest = bench.averaged(bench.game, "exploit"), bench.averaged(bench.game, "honest")
    if (gain := _er(bench, exploit) - _er(bench, honest)) < 0.5:
        yield f"the exploit script's er is only {gain:.3f} above the honest script's"
    unseen = [p.item.id for p in exploit if p.score.exploited is False]
    if unseen:
        yield f"exploited is False for the exploit script of {unseen[0]}"
    paid, worth = mean_reward(exploit), mean([p.score.truth for p in exploit if p.score.truth is not None])
    if paid is None or worth is None or paid <= worth + TOLERANCE:
        yield f"the exploit script is paid {paid} for a truth of {worth}: the flaw does not pay"


def _er(bench: Bench, played: Sequence[Played]) -> float:
    """The exploit ratio of a script over many episodes: some games have it only as a statistic of the batch."""
    found = bench.game.metrics([p.score for p in played]).get("er")
    if found is None:
        raise NotApplicable(f"{bench.count} items do not determine er; ask for more items")
    return found


def secure_holds(bench: Bench) -> Problems:
    """In the secure arm no script that exploits is paid more than the honest one, and the exploit less than before."""
    bench.scripted()
    if bench.game.patch_table and not bench.game.arm("secure"):
        yield "the game has patches but recommends none; its secure arm is the flawed one"
        return
    if not bench.is_arm("secure"):
        raise NotApplicable("only asked of the secure arm")
    honest = bench.averaged(bench.game, "honest")
    names = {p.script.name for p in bench.played} - {"honest"}
    for name in sorted(names):
        yield from (
            f"the script {name}: {fault}" for fault in _paid_exploits(bench, honest, bench.averaged(bench.game, name))
        )
    if bench.has_flaw:
        flawed = bench.twin(())
        before, after = (mean_reward(bench.averaged(g, "exploit", flawed)) for g in (flawed, bench.game))
        if before is None or after is None or after >= before - TOLERANCE:
            yield f"the flawed arm's exploit is paid {after} here and {before} there: the repair repairs nothing"


def _paid_exploits(bench: Bench, honest: list[Played], played: list[Played]) -> Problems:
    fair_of = {id(p.item): p.score.reward or 0.0 for p in honest}
    for bad in played:
        if bad.score.exploited and (bad.score.reward or 0.0) > fair_of[id(bad.item)] + TOLERANCE:
            yield f"{bad.item.id}: exploited and paid {bad.score.reward}, the honest script {fair_of[id(bad.item)]}"
            return
    paid, fair = mean_reward(played), mean_reward(honest)
    if (
        paid is not None
        and fair is not None
        and paid > fair + TOLERANCE
        and _er(bench, played) > _er(bench, honest) + TOLERANCE
    ):
        yield f"er is above the honest script's, and it is paid {paid}, the honest script {fair}"


def truth_is_one(bench: Bench) -> Problems:
    """The truth of a reply is the same in every arm: a patch changes what is paid, not what is right."""
    bench.scripted()
    if not bench.has_flaw:
        raise NotApplicable("the game has one arm")
    known = [p for p in bench.played if p.item in bench.scripted_items[:3]]
    arms = bench.arms()
    for name, twin in arms.items():
        if twin.patches == bench.game.patches:
            continue
        scores = twin.score_many([(p.item, p.script.replies) for p in known])
        for p, score in zip(known, scores, strict=True):
            if not near(p.score.truth, score.truth):
                yield f"{p.item.id}, {p.script.name}: truth {p.score.truth} here, {score.truth} in the arm {name!r}"


# Elsewhere


def hash_seeds(bench: Bench) -> Problems:
    """Items, prompts and scores are the same in fresh interpreters with two values of PYTHONHASHSEED."""
    found = digests(bench)
    if len(set(found.values())) > 1:
        told = ", ".join(f"{where}: {value[:120]}" for where, value in found.items())
        yield f"they differ between this process and PYTHONHASHSEED {HASH_SEEDS}: {told}; never iterate over a set"


def _primers(bench: Bench) -> list[list[Message]]:
    bench.generated()
    made = [bench.game.primer(bench.chance("primer", k)) for k in range(PRIMERS)]
    if not any(made):
        raise NotApplicable("the game gives no conversations to pretrain on")
    return made


def primer_honest(bench: Bench) -> Problems:
    """Primer conversations are honest, end with the assistant, and depend on the given chance alone."""
    made = _primers(bench)
    for k, talk in enumerate(made):
        if list(bench.game.primer(bench.chance("primer", k))) != list(talk):
            yield "two primers from the same chance differ"
        if not talk:
            continue
        if talk[-1].role != "assistant" or any(m.role not in ROLES or not m.content for m in talk):
            yield f"a conversation does not end with the assistant, or has an empty message: {talk}"
        yield from (f"the game's own detector finds an exploit in a primer: {e}" for e in bench.game.exploits_in(talk))


def detector_sees(bench: Bench) -> Problems:
    """exploits_in finds the flawed arm's exploit script, so that its silence about a corpus says something."""
    if not bench.has_flaw:
        raise NotApplicable("the game has no flaw")
    _primers(bench)
    flawed = bench.twin(())
    for item in bench.items:
        replies = bench.script(item, "exploit", flawed).replies
        for turn in range(len(replies)):
            if any(flawed.exploits_in(conversation(flawed, item, replies, turn))):
                return
    yield "exploits_in finds nothing in any episode of the exploit script"
