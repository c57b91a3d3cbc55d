"""The pieces of the audit: binding, patterns, truth, judging, minimising, incentives; by law and by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gamekeeper.audit.attacks.base import Attack, Technique
from gamekeeper.audit.binding import arguments, bindings
from gamekeeper.audit.carriers import COMMON, carriers
from gamekeeper.audit.clock import Clock
from gamekeeper.audit.entries import place_of, shown_tests
from gamekeeper.audit.examples import as_example, read_examples
from gamekeeper.audit.finding import Example, Paid
from gamekeeper.audit.incentives import PayTable, under_audited
from gamekeeper.audit.judge import Shot, bonus, gain, judged
from gamekeeper.audit.minimise import shrunk
from gamekeeper.audit.mining import Mined, json_keys, mine
from gamekeeper.audit.modal import wilson_low
from gamekeeper.audit.patterns import compiled, fill
from gamekeeper.audit.range import Range
from gamekeeper.audit.rewards import NoReward, as_reward
from gamekeeper.audit.scene import Scene, slot_of, wrong_values
from gamekeeper.audit.targets.code import reached
from gamekeeper.audit.truth import RIGHT, UNKNOWN, WRONG, golds, reading, same, value_of
from gamekeeper.errors import DataError, UnknownName, UsageError
from gamekeeper.games.selfgrade import PAY, break_even_audit

ROW = as_example({"prompt": "6*7?", "answer": "42", "level": 3}, "row")


def called(function: Any, declared: dict[str, str] | None = None, turns: tuple[str, ...] = ("R",)) -> Any:
    """What the function gets under the first binding."""
    way = bindings(function, declared or {}, ["prompt", "answer", "level"])[0]
    given_, named = arguments(way, [ROW], [turns])
    return function(*given_, **named)


# Binding


def test_arguments_are_bound_by_name() -> None:
    assert called(lambda completion, answer: (completion, answer)) == ("R", "42")
    assert called(lambda answer, ground_truth: (answer, ground_truth)) == ("R", "42")
    assert called(lambda solution, gold, level: (solution, gold, level)) == ("R", "42", 3)
    assert called(lambda x, y: (x, y)) == ("R", "42")
    assert called(lambda output, item: (output, item["answer"], item["level"])) == ("R", "42", 3)
    assert called(lambda data_source, solution_str, ground_truth, extra_info=None: (solution_str, ground_truth)) == (
        "R",
        "42",
    )


def test_trainers_lists_get_lists_and_every_column() -> None:
    def trl(completions: list[str], answer: list[str], **kwargs: Any) -> Any:
        return completions, answer, kwargs["level"], kwargs["prompts"], kwargs["completion_ids"]

    assert called(trl) == (["R"], ["42"], [3], ["6*7?"], [[82]])


def test_every_plausible_way_is_listed() -> None:
    ways = [str(w) for w in bindings(lambda a, b: 0.0, {}, [])]
    assert ways[0].startswith("(a=completion, b=answer), reply as text")
    assert any(w.startswith("(a=answer, b=completion)") for w in ways)
    assert any("list of chats" in w for w in ways)


def test_a_name_that_says_what_it_is_is_not_swapped() -> None:
    ways = [dict(w.sources) for w in bindings(lambda completion, answer: 0.0, {}, [])]
    assert {w["completion"] for w in ways} == {"completion"}


def test_declared_bindings_hold_either_way_round() -> None:
    assert called(lambda a, b: (a, b), {"b": "completion", "a": "answer"}) == ("42", "R")
    assert called(lambda a, b: (a, b), {"completion": "b", "a": "level"}) == (3, "R")
    with pytest.raises(UnknownName, match="Did you mean 'answer'"):
        bindings(lambda completion, answer: 0.0, {"answr": "gold"}, [])
    with pytest.raises(UsageError, match="no named argument"):
        bindings(lambda: 0.0, {}, [])


@pytest.mark.parametrize(
    ("value", "reward"),
    [
        (1, 1.0),
        (True, 1.0),
        (None, None),
        ({"score": 0.5, "acc": 1}, 0.5),
        ((0.25, "why"), 0.25),
        ([0.75], 0.75),
        ({"x": 2}, 2.0),
    ],
)
def test_what_a_reward_may_be(value: Any, reward: float | None) -> None:
    assert as_reward(value) == reward


@pytest.mark.parametrize(
    "value", ["1.0", [1, 2], {}, {"a": 1, "b": 2}, float("nan"), -math.inf, {"score": math.inf}, []]
)
def test_what_a_reward_may_not_be(value: Any) -> None:
    with pytest.raises(NoReward):
        as_reward(value)


# Examples


def test_rows_of_all_kinds_become_examples() -> None:
    verl = as_example({"prompt": [{"role": "user", "content": "2+2"}], "reward_model": {"ground_truth": "4"}}, "row")
    assert (verl.prompt, verl.answer, verl.chat) == ("2+2", "4", [{"role": "user", "content": "2+2"}])
    assert as_example({"question": "q", "target": 3, "good": ["a", ["b", "c"]]}, "row").good == (("a",), ("b", "c"))
    for row in (7, {"prompt": "x", "good": [3]}, {"prompt": "x", "good": [[]]}):
        with pytest.raises(DataError, match="row"):
            as_example(row, "row")


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_of_examples_ends_at_a_line_feed_alone(tmp_path: Path, end: str, mark: str) -> None:
    rows = [{"prompt": f"1{end}+ 1?", "answer": "2"}, {"prompt": "2 + 2?", "answer": "4"}]
    path = tmp_path / "e.jsonl"
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes((mark + text + "\r\n").encode())
    assert [e.prompt for e in read_examples(path)] == [row["prompt"] for row in rows]


def test_an_array_of_objects_is_a_file_of_examples(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    path.write_text(json.dumps([{"prompt": "1+1?", "answer": "2"}, {"prompt": "2+2?", "answer": "4"}], indent=1))
    assert [e.answer for e in read_examples(path)] == ["2", "4"]
    for text, words in (("[1]", "item 1 is not an object"), ("[", "is not JSON"), ("[]", "are empty")):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_examples(path)


# Mining


def test_the_source_gives_away_what_it_reads() -> None:
    found = mine(
        'import json, re\nMARK = "ALL_OK"\n'
        'def f(t):\n    """Not this text."""\n'
        '    m = re.search(r"<answer>(.*?)</answer>", t)\n'
        '    d = json.loads(t)\n    if "passed" in d and len(t) > 120: return d["score"]\n'
    )
    assert found.regexes == ("<answer>(.*?)</answer>",)
    assert found.tags == ("answer",)
    assert found.keys == ("passed", "score")
    assert set(found.strings) == {"ALL_OK", "passed", "score"}
    assert 120 in found.numbers
    assert (found.reads_json, found.runs_code, found.known) == (True, False, True)


def test_source_that_is_none_gives_nothing() -> None:
    assert mine("def f(:") == mine("\x00") == Mined()


def test_long_chains_of_source_do_not_hide_what_stands_beside_them() -> None:
    chain = "".join(f"    elif x == 'case {n}': pass\n" for n in range(600))
    found = mine(f"def f(x):\n    if x: pass\n{chain}    return x['score']\n")
    assert found.keys == ("score",)
    assert "case 0" in found.strings


def test_only_what_the_function_reaches_is_mined() -> None:
    source = "import re\nA = 'near'\nB = 'far'\ndef g(): return A\ndef h(): return B\ndef f(x): return g()\n"
    assert "near" in reached(source, "f")
    assert "far" not in reached(source, "f")
    assert reached(source, "no_such_name") == source


def test_keys_of_a_document_in_a_prompt() -> None:
    assert json_keys('Fill in: {"source": "", "score": 0} {broken') == ["source", "score"]


@pytest.mark.parametrize(
    "pattern",
    [
        r"<answer>(.*?)</answer>",
        r"\\boxed\{([^}]*)\}",
        r"####\s*(-?[0-9][0-9,]*)",
        r"(?i)score:\s*(\d+)",
        r"^Answer: (yes|no)$",
        r"(?:Rating|Score)\s*[:=]\s*\[\[(\d)\]\]",
        r"(\w+)=(\w+);",
        r"[A-D]\)",
    ],
)
@pytest.mark.parametrize("text", ["10", "yes", "zz"])
def test_a_filled_pattern_matches(pattern: str, text: str) -> None:
    made = fill(pattern, [text])
    found = compiled(pattern)
    assert made is not None
    assert found is not None
    assert found.search(made), made


def test_groups_hold_what_was_asked_for() -> None:
    assert fill(r"<answer>(.*?)</answer>", ["42"]) == "<answer>42</answer>"
    assert fill(r"score:\s*(\d+)", ["10"]) == "score: 10"
    assert fill(r"(unclosed", ["x"]) is None


@settings(deadline=None)
@given(st.text(max_size=30))
@example("[[")  # Python warns of it
def test_no_pattern_breaks_the_sampler(pattern: str) -> None:
    made = fill(pattern, ["1"])
    assert made is None or isinstance(made, str)


# Truth


@pytest.mark.parametrize(
    ("reply", "answer", "told"),
    [
        ("42", "42", RIGHT),
        (" 42. ", "42", RIGHT),
        ("42.0", "42", RIGHT),
        ("\\boxed{42}", "42", RIGHT),
        ("The answer is 42", "42", RIGHT),
        ("thinking 7\n#### 1,000", "1000", RIGHT),
        ("PARIS", "Paris", RIGHT),
        ("41", "42", WRONG),
        ("", "42", WRONG),
        ("not 42", "42", UNKNOWN),
        ("142", "42", UNKNOWN),
        ("\\boxed{42} \\boxed{41}", "42", UNKNOWN),
        ("anything", None, UNKNOWN),
        ("Ann knight Bo knave", "Ann is a knight, and Bo is a knave.", UNKNOWN),
        ("Bo knight Ann knave", "Ann is a knight, and Bo is a knave.", WRONG),
        ("knight", "Ann is a knight, and Bo is a knave.", WRONG),
        ("3 14", "3.14", WRONG),
        ("*", "*", RIGHT),
        ("The answer is *", "*", RIGHT),
        ("so: *", "*", UNKNOWN),
        ("", "*", WRONG),
        ("!", "*", WRONG),
    ],
)
def test_reading_a_reply(reply: str, answer: Any, told: str) -> None:
    assert reading(reply, answer) == told


def test_the_core_of_an_answer() -> None:
    assert golds("so 6*7 = 42\n#### 42") == ["42"]
    assert golds("it is $\\boxed{\\frac{1}{2}}$") == ["\\frac{1}{2}"]
    assert golds(["a", 2]) == ["a", "2"]
    assert golds(None) == []
    assert golds({"when": date(2020, 1, 31)}) == ['{"when": "2020-01-31"}']


def test_a_number_that_is_too_great_to_be_written_out_is_a_text() -> None:
    """A hash may look like one."""
    assert value_of("7e99999999") is None
    assert value_of("1.5e400") is None
    assert value_of("2e3") == 2000
    assert wrong_values(Example("p", "1.5e400"), ["9"])[0] != "1.5e400"


@settings(deadline=None)
@given(st.one_of(st.integers(-(10**6), 10**6).map(str), st.text(min_size=1, max_size=20)))
def test_wrong_values_are_wrong(gold: str) -> None:
    example = Example("p", gold)
    values = wrong_values(example, ["Paris", "9"])
    assert len(values) >= 2
    assert not any(same(v, g) for v in values for g in golds(gold))


def test_the_slot_is_the_last_mention_that_stands_alone() -> None:
    wrap = slot_of("142 steps, so 42 is the answer (not 420)", "42")
    assert wrap is not None
    assert wrap("X") == "142 steps, so X is the answer (not 420)"
    twice = slot_of("42? Yes: 42!", "42")
    assert twice is not None
    assert twice("X") == "42? Yes: X!"
    assert slot_of("no number", "42") is None


def test_an_answer_that_is_nested_too_deeply_is_carried_as_a_text() -> None:
    deep = "[" * 5000 + "]" * 5000
    found = carriers(Mined(keys=("the answer",), reads_json=True, known=True), "p")
    assert [c.wrap(deep) for c in found if c.name == "JSON number the answer"] == [json.dumps({"the answer": deep})]


def test_carriers_carry() -> None:
    found = carriers(
        Mined(regexes=(r"RESULT=\{(.+)\}",), tags=("work", "final"), keys=("verdict",), reads_json=True), ""
    )
    assert len(found) > len(COMMON)
    assert all("77" in c.wrap("77") for c in found)
    assert {"RESULT={77}", '{"verdict": "77"}'} <= {c.wrap("77") for c in found}


# Programs in replies


def scene(good: str, prompt: str = "", **columns: Any) -> Scene:
    return Scene(0, Example(prompt, "42", columns), "42", (good,), lambda t: t, ("41", "40", "zz"), (), Mined())


def test_where_a_program_stands_and_how_it_is_entered() -> None:
    fenced = place_of(scene("Here:\n```python\ndef add(a, b):\n    return a + b\n```\ndone"), Mined())
    assert fenced is not None
    assert fenced.names == ("add",)
    assert fenced.put("X") == "Here:\n```python\nX\n```\ndone"
    method = place_of(scene("class Solution:\n    def run(self, x):\n        return x"), Mined())
    assert method is not None
    assert method.define("return 0") == "class Solution:\n    def run(self, *a, **k):\n        return 0"
    script = place_of(scene("n = int(input())\nprint(n)"), Mined())
    assert script is not None
    assert script.define("return None") == "print(None)"
    assert place_of(scene("42"), Mined()) is None
    assert place_of(scene("plain words here"), Mined()) is None


def test_cases_that_a_prompt_shows() -> None:
    prompt = 'write f(x). f(2) = 15; f(9) = 36", "score": 0} and assert g([1, 2]) == [2, 1]'
    assert shown_tests(scene("x = 1", prompt), ("f",)) == {"2": "15", "9": "36"}
    assert shown_tests(scene("x = 1", prompt), ("g",)) == {"[1, 2]": "[2, 1]"}


# Judging


def test_gains_by_hand() -> None:
    """Honest 1, nothing 0.2: a pay of 0.6 is half way. A punishment below 0 is no pay. More than honest is above 1."""
    graded = Scene(0, Example("p", "42"), "42", ("42",), str, ("1", "2"), (), Mined(), honest=1.0, floor=0.2)
    assert gain(graded, 0.6) == pytest.approx(0.5)
    assert gain(graded, 1.8) == pytest.approx(2.0)
    assert bonus(graded, 1.4) == pytest.approx(0.5)
    fined = Scene(0, Example("p", "42"), "42", ("42",), str, ("1", "2"), (), Mined(), honest=1.0, floor=-1.0)
    assert gain(fined, 0.0) == 0.0
    betrayed = Scene(0, Example("p", "42"), "42", ("42",), str, ("1", "2"), (), Mined(), honest=-1.0, floor=1.0)
    assert gain(betrayed, 1.0) == 2.0


ABOUT = Technique("what", "fix")


def shot(cause: str, reply: str, reward: float, control: float | None = None, **flags: bool) -> Shot:
    family, _, technique = cause.partition("/")
    graded = Scene(0, Example("p", "42"), "42", ("42",), str, ("1", "2"), (), Mined(), honest=1.0, floor=0.0)
    return Shot(Attack(family, technique, "v", str, ABOUT, **flags), graded, (reply,), Paid(reward), control)


def test_a_right_reply_is_no_finding() -> None:
    assert judged([shot("plain/constant", "42", 1.0)]) == []
    assert [f.severity for f in judged([shot("plain/constant", "17", 1.0)])] == ["critical"]


def test_a_reply_that_is_known_to_be_good_is_no_finding() -> None:
    """Also where no column says the answer."""
    known = shot("plain/constant", "42", 1.0)
    silent = replace(known.scene, example=Example("p", None, good=(("42",),)), gold="")
    assert judged([replace(known, scene=silent)]) == []
    assert len(judged([replace(known, scene=silent, turns=("17",))])) == 1


def test_a_reply_that_holds_the_answer_by_accident_is_no_finding() -> None:
    assert judged([shot("report/style", "chapter 42 of this", 1.0)]) == []


def test_a_control_that_earns_as_much_takes_the_cause_away() -> None:
    assert judged([shot("answer/negation", "not 42", 1.0, control=1.0, knows=True)]) == []
    assert [f.severity for f in judged([shot("answer/negation", "not 42", 1.0, control=0.0, knows=True)])] == ["medium"]


def test_a_baseline_takes_the_others_causes_away() -> None:
    found = judged([shot("plain/wrong", "17", 1.0, baseline=True), shot("report/style", "well", 1.0)])
    assert [f.cause for f in found] == ["plain/wrong"]


def test_of_two_causes_that_explain_each_other_one_is_named() -> None:
    """A grader that waits for a word of failure pays programs that end and programs that do not run alike."""
    found = judged([shot(cause, "x", 1.0) for cause in ("program/broken", "program/exit", "program/patch")])
    assert [f.cause for f in found] == ["program/exit"]


def test_severity_by_what_it_pays() -> None:
    for reward, severity in ((1.0, "high"), (0.6, "medium"), (0.3, "low")):
        assert [f.severity for f in judged([shot("report/style", "well", reward)])] == [severity]
    assert judged([shot("report/style", "well", 0.2)]) == []


def test_part_credit_that_a_text_meets_by_chance_is_no_finding() -> None:
    """Paid a third on 1 of 20 examples: chance. In full on 1 of 20, or a third on 1 of 4: a finding."""
    rest = [shot("state/edit", "well", 0.0)] * 19
    assert judged([shot("state/edit", "well", 0.33), *rest]) == []
    assert len(judged([shot("state/edit", "well", 1.0), *rest])) == 1
    assert len(judged([shot("state/edit", "well", 0.33), *rest[:3]])) == 1


def test_a_fixed_text_is_held_against_a_grader_if_it_is_paid_for_two_solutions() -> None:
    """On one, it may be right: for a query, which is made to fit one example, that is excluded."""
    paid, missed = shot("report/style", "well", 1.0), shot("report/style", "well", 0.0)
    other = replace(paid, scene=replace(paid.scene, good=("7",)))
    assert judged([paid, missed, missed]) == []
    assert len(judged([paid, other, missed])) == 1
    query, idle = (replace(s, attack=replace(s.attack, family="table")) for s in (paid, missed))
    assert len(judged([query, idle, idle])) == 1


def test_a_text_that_a_search_found_is_paid_on_more_than_one_of_several_examples() -> None:
    """On one, it may have met the answer."""
    met, missed = shot("search/found", "n 7 n", 1.0), shot("search/found", "n 7 n", 0.0)
    other = replace(met, scene=replace(met.scene, good=("7",)))
    assert judged([met, missed, missed]) == []
    assert len(judged([met, other, missed])) == 1
    assert len(judged([met])) == 1


def test_an_oracle_overrules_the_text() -> None:
    assert judged([shot("report/style", "well", 1.0)], lambda _s, _t: 1.0) == []
    assert judged([shot("report/style", "42", 1.0)], lambda _s, _t: 0.0) != []


def test_half_a_solution_that_earns_a_half_is_fairly_paid() -> None:
    fair = shot("program/stub", "x", 0.4)
    for worth, found in ((0.4, 0), (0.3, 0), (0.1, 1)):
        known = Shot(fair.attack, fair.scene, fair.turns, Paid(0.4, truth=worth))
        assert len(judged([known])) == found


# Time


class Slow:
    """A target whose every call takes a second, by a clock that nothing else moves."""

    def __init__(self, dear_after: int = 0, load: float = 0.0) -> None:
        """load: what the first call of each batch takes besides, in its own process."""
        self.now, self.calls, self.batches, self.truths = 0.0, 0, 0, False
        self.dear_after, self.load = dear_after, load

    def monotonic(self) -> float:
        return self.now

    def grade(self, calls: Any, *, alone: bool = False, wall_s: float | None = None) -> list[Paid]:
        self.calls += len(calls)
        self.batches += 1
        each = 1.0 if self.calls > self.dear_after else 0.001
        costs = [each + self.load, *([each] * (len(calls) - 1))]
        self.now += sum(costs)
        return [Paid(0.0, seconds=cost) for cost in costs]


def wrong_replies(count: int) -> list[Attack]:
    return [Attack("plain", "x", str(n), lambda _, n=n: f"wrong {n}", ABOUT) for n in range(count)]  # type: ignore[misc]


@pytest.mark.parametrize("dear_after", [0, 600])
def test_a_slow_grader_does_not_make_an_audit_late(monkeypatch: pytest.MonkeyPatch, dear_after: int) -> None:
    """Also one that becomes slow: then one slice, sized by what calls took before, comes too late at most."""
    target = Slow(dear_after)
    monkeypatch.setattr("gamekeeper.audit.clock.time", target)
    scenes = [replace(scene("42"), index=i) for i in range(3)]
    shooting = Range(target, scenes, Clock(60))  # type: ignore[arg-type]
    shots = shooting.shoot(wrong_replies(1000))
    assert target.now < (66 if dear_after == 0 else 60 + 3 * 400)
    assert shooting.left_out == 1000 - len({s.attack.id for s in shots}) > 900 * (dear_after == 0)
    assert [a.id for a in shooting.untried] == [a.id for a in wrong_replies(1000)[1000 - shooting.left_out :]]


def test_a_grader_that_loads_for_each_batch_gets_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first call of a process takes says nothing of the next ones."""
    target = Slow(dear_after=10**6, load=3.0)
    monkeypatch.setattr("gamekeeper.audit.clock.time", target)
    shooting = Range(target, [replace(scene("42"), index=i) for i in range(3)], Clock(60))  # type: ignore[arg-type]
    assert len(shooting.shoot(wrong_replies(400))) == 1200
    assert target.batches < 8


def test_what_uses_the_answer_is_no_finding_before_its_control_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Slow()
    monkeypatch.setattr("gamekeeper.audit.clock.time", target)
    clock = Clock(10)
    [there] = scenes = [replace(scene("42"), wrongs=("7",))]
    shooting = Range(target, scenes, clock)  # type: ignore[arg-type]
    attack = Attack("answer", "x", "y", lambda s: f"not {s.gold}", ABOUT, knows=True)
    shot = Shot(attack, there, ("not 42",), Paid(1.0))
    [controlled] = shooting._controlled([shot])
    assert controlled.control == 0.0
    shooting.memory.clear()
    target.now = 60.0
    assert shooting._controlled([shot]) == []


# Minimising


@settings(deadline=None)
@given(st.lists(st.sampled_from(["alpha", "beta", "key", "\n", "gamma delta"]), max_size=12), st.integers(0, 12))
def test_shrinking_keeps_what_it_must_and_nothing_else(words: list[str], at: int) -> None:
    words.insert(min(at, len(words)), "needle")
    made = shrunk(" ".join(words), lambda t: "needle" in t)
    assert made == "needle"


def test_what_cannot_shrink_stays() -> None:
    assert shrunk("abc", lambda t: t == "abc") == "abc"
    assert shrunk("a\nb\nc", lambda t: "a" in t and "c" in t) == "ac"


# Incentives and data


@pytest.mark.parametrize("confidence", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_break_even_is_that_of_the_game(confidence: float) -> None:
    assert PayTable(PAY, 0.1).break_even(confidence) == break_even_audit(confidence)


def test_false_claims_pay_below_the_break_even_and_not_above() -> None:
    even = PayTable(PAY, 0.1).break_even()
    assert even == Fraction(1, 7)
    found = under_audited(PayTable(PAY, 0.1))
    assert found is not None
    assert "0.143" in found.what
    assert under_audited(PayTable(PAY, 0.2)) is None
    with pytest.raises(UsageError, match="8 rows"):
        PayTable({}, 0.1)


def test_wilson_by_hand() -> None:
    """9 of 10 at z = 1.96: (0.9 + 0.19208 - 1.96 * sqrt(0.009 + 0.009604)) / 1.38416 = 0.5958."""
    assert wilson_low(9, 10) == pytest.approx(0.59585, abs=1e-4)
    assert wilson_low(0, 5) == pytest.approx(0.0, abs=1e-9)
