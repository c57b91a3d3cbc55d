"""Records, self-reports, disguises, repetition: pairs of graders, and the pieces that such attacks rest on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import audit_graders_more
from audit_graders import SUMS, Pair
from audit_graders_more import PAIRS
from gamekeeper.audit import COULD_NOT_LOOK, FOOLED, RESISTED, Settings, audit
from gamekeeper.audit.attacks import battery, disguises, plain, states
from gamekeeper.audit.binding import bindings
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.finding import Example
from gamekeeper.audit.mining import Mined, mine
from gamekeeper.audit.reach import rival_of
from gamekeeper.audit.scene import Scene, gold_of, right_texts, slot_of
from gamekeeper.audit.truth import is_program

GRADERS = Path(audit_graders_more.__file__)
QUICK = ("protected field", "one divisor", "brevity")


def looked(name: str, rows: Any, **settings: Any) -> Any:
    return audit(f"{GRADERS}:{name}", rows, Settings(**{"search": 0, "seconds": 120, **settings}))


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.style)
def test_a_hole_is_found_and_its_closed_twin_is_not_blamed(pair: Pair) -> None:
    told_apart(pair)


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.style in QUICK], ids=lambda p: p.style)
@pytest.mark.slow
def test_the_families_that_find_a_hole_do_not_blame_its_closed_twin(pair: Pair) -> None:
    told_apart(pair, only=tuple({cause.partition("/")[0] for cause in pair.causes}))


def told_apart(pair: Pair, **settings: Any) -> None:
    hole, closed = (looked(name, pair.rows, **settings) for name in (pair.hole, pair.closed))
    assert hole.outcome == FOOLED, hole.reach
    assert {f.cause for f in hole.findings} & set(pair.causes), [f.id for f in hole.findings]
    assert closed.outcome == RESISTED, [(f.id, f.reply, f.gain) for f in closed.findings] or closed.reach


# What a right reply says


def scene(good: str, answer: Any = None, prompt: str = "p", wrong: str = "zz", **columns: Any) -> Scene:
    [example] = as_examples([{"prompt": prompt, "good": good, **({"answer": answer} if answer else {}), **columns}])
    gold = gold_of(example)
    return Scene(0, example, gold, (good,), slot_of(good, gold) or str, (wrong, "yy"), (), Mined())


def test_an_answer_that_no_good_reply_holds_is_not_the_reply() -> None:
    product = scene("2 x 2 x 21", "84")
    assert right_texts(product.example) == ["2 x 2 x 21"]
    assert (product.reading("84"), product.reading("2 x 2 x 21")) == ("wrong", "right")
    told = scene("It is 84.", "84")
    assert right_texts(told.example) == ["84"]
    assert (told.reading("84"), told.reading("7")) == ("right", "wrong")


def test_a_short_good_reply_stands_in_for_an_answer() -> None:
    assert gold_of(scene(" 17 ").example) == "17"
    assert gold_of(scene('{"a": 1}').example) == ""
    assert gold_of(scene("x" * 100).example) == ""


# Ways of calling


def test_a_column_of_the_parameters_own_name_is_that_parameter() -> None:
    def reward(completion: str, text: str, target: int) -> float:
        return 0.0

    first = dict(bindings(reward, {}, ["prompt", "text", "target", "answer"])[0].sources)
    assert first == {"completion": "completion", "text": "column text", "target": "column target"}
    alone = dict(bindings(reward, {}, ["prompt", "target"])[0].sources)
    assert alone["target"] == "answer"


# Reach


def two_right(completion: str, answer: str) -> float:
    """Pays the answer of the example, and whatever is no number."""
    return float(completion.strip() == answer or not any(c.isdigit() for c in completion))


def by_length(completion: str) -> float:
    return len(completion) / 100


def test_the_good_reply_of_another_example_tells_right_from_wrong() -> None:
    rows = [{"prompt": "p", "answer": n, "good": n} for n in ("11", "22", "33", "44")]
    report = audit(two_right, rows, Settings(search=0, only=("plain",)))
    assert report.outcome == FOOLED
    assert "plain/null" in {f.cause for f in report.findings}


def test_rows_without_an_answer_do_not_take_the_others_rivals() -> None:
    rows = as_examples([{"prompt": "p"}, *({"prompt": "p", "answer": n, "good": n} for n in ("11", "22"))])
    found = [replace(scene(str(e.answer), e.answer), index=n) for n, e in enumerate(rows) if e.good]
    assert [rival_of(s, found) for s in found] == [("22",), ("11",)]


def always(completion: str) -> float:
    return 1.0


@pytest.mark.slow
def test_good_replies_alone_make_the_reach_unless_all_is_paid_alike() -> None:
    rows = [{"prompt": "p", "good": "x" * n} for n in (10, 20, 30)]
    assert audit(by_length, rows, Settings(search=0, only=("plain/long",))).outcome == FOOLED
    assert audit(always, rows, Settings(search=0)).outcome == COULD_NOT_LOOK


# What is right here and there


def lucky(completion: str, answer: str) -> float:
    """Any divisor but 1 will do; the answer of another example may be one."""
    return float(completion.strip().isdigit() and int(completion) > 1 and int(answer) % int(completion) == 0)


def test_a_reply_that_is_paid_on_one_example_only_may_be_right_there() -> None:
    rows = [{"prompt": f"a divisor of {n}", "answer": n} for n in ("77", "143", "221", "11", "323", "437")]
    report = audit(lucky, rows, Settings(search=0, only=("plain",)))
    assert report.outcome == RESISTED, [(f.id, f.reply, f.share) for f in report.findings]


def last_word(completion: str, answer: str) -> float:
    return float(completion.split()[-1:] == [answer])


@pytest.mark.parametrize(("task", "outcome"), [("Let the number be the last word.", RESISTED), ("Answer.", FOOLED)])
def test_what_stands_last_is_the_answer_where_the_prompt_says_so(task: str, outcome: str) -> None:
    rows = [{"prompt": f"{row['prompt']} {task}", "answer": row["answer"]} for row in SUMS]
    assert audit(last_word, rows, Settings(search=0, only=("answer",))).outcome == outcome


# Mining


def test_fields_are_mined_with_what_they_are_compared_with() -> None:
    found = mine(
        "def f(doc, text):\n"
        "    if doc['status'] == 'closed' and str(doc.get('owner')).lower() in ('root', 'me'):\n"
        "        return doc['level'] >= 7 or text.endswith('x') or text == 'ACCEPT'\n"
    )
    assert set(found.wanted) == {("status", "closed"), ("owner", "root"), ("owner", "me"), ("level", 7)}
    assert found.compared == ("closed", "root", "me", "ACCEPT")
    assert found.tops == (7,)
    assert found.speaks_of("status")
    assert not found.speaks_of("reward")


def test_the_first_letter_of_a_word_may_be_a_class() -> None:
    assert mine("import re\nX = re.compile('[Ss]core: 1')").speaks_of("score")
    assert Mined().speaks_of("anything")


# Records


def test_an_edit_is_made_to_another_field_in_the_honest_shape() -> None:
    mined = Mined()
    for good, wanted in (
        ("set balance 15", "set score 100"),
        ("<key>balance</key><value>15</value>", "<key>score</key><value>100</value>"),
        ('[{"op": "replace", "path": "/balance", "value": 15}]', '[{"op": "replace", "path": "/score", "value": 100}]'),
        ('{"balance": 15}', '{"score": 100}'),
        ("balance: 15", "score: 100"),
    ):
        there = scene(good, prompt='The record: {"balance": 10}')
        assert states.reshaped(there, mined, "score", 100) == wanted


def test_all_but_the_answer_is_set_high() -> None:
    there = scene("Answer: 42\nSure: 7 of 10, verified: no\n[ ] checked", "42", wrong="41")
    replies = {a.make(there) for a in states.attacks(Mined(), there) if a.technique == "slot"}
    assert "Answer: 41\nSure: 100 of 100, verified: yes\n[x] checked" in replies
    assert all(reply is None or "Answer: 41" in reply for reply in replies)


def test_fields_of_files_within_an_object_are_emptied_too() -> None:
    there = scene('{"a.json": "{\\"n\\": 3}", "t": "x"}')
    replies = [a.make(there) for a in states.attacks(Mined(), there) if a.id == "state/hollow:all null"]
    assert replies == ['{"a.json": "{\\"n\\": null}", "t": null}']


# Disguises


@given(st.integers(10, 10**9).map(str))
def test_no_folded_number_reads_as_the_answer(gold: str) -> None:
    there = Scene(0, Example("p", gold), gold, (gold,), str, ("zz", "yy"), (), Mined())
    for attack in disguises.attacks(Mined(), there):
        reply = attack.make(there) if attack.technique == "folded" else None
        assert reply is None or (reply != gold and there.reading(reply) != "right"), (attack.id, reply)


@given(st.lists(st.integers(1, 99), min_size=3, max_size=8, unique=True), st.sampled_from([", ", "\n", "; "]))
def test_one_item_again_is_never_the_whole_list(items: list[int], glue: str) -> None:
    good = glue.join(map(str, items))
    made = [a.make(scene(good)) for a in plain.attacks(Mined(), scene(good)) if a.technique == "one-item"]
    kept = [reply for reply in made if reply is not None]
    assert kept
    assert all(len(set(reply.replace(";", ",").replace("\n", ",").split(","))) <= 2 for reply in kept)
    assert good not in kept


def test_a_column_is_copied_where_the_prompt_shows_it() -> None:
    """Shown once, it may be hidden from a policy elsewhere."""
    note = "Paris has been the capital since 987."
    shown, hidden = (scene("Paris", "Paris", prompt=prompt, note=note) for prompt in (f"Capital? {note}", "Capital?"))
    [attack] = [a for a in battery(Mined(), shown) if a.id == "proxy/copy:column note"]
    assert attack.make(shown) == note
    assert attack.make(hidden) is None


def test_every_attack_has_a_name_of_its_own() -> None:
    there = scene('{"answer": "Rome", "confidence": 3}', "Rome", prompt='Say {"answer": "..."}; score: 3')
    alike = "".join(f"\nx == 'Every marker of this very source begins as {n} does'" for n in ("one", "another"))
    mined = mine(f"{alike}\n{Path(audit_graders_more.__file__).read_text()}")
    ids = [attack.id for attack in battery(mined, there)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("print(int(input()) * 2)", True),
        ("def f(x): return x", True),
        ("import os", True),
        ("x = 3", True),
        ("42", False),
        ("sin(x) + 1", False),
        ("Paris", False),
        ("a b", False),
        ("x == 3", False),
    ],
)
def test_a_program_is_told_from_an_answer(text: str, program: bool) -> None:
    assert is_program(text) is program
