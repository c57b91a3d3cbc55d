"""docs/bench.md from docs/records/bench.json: what was measured, on what, and whether each bar was met."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

Record = dict[str, Any]
BARS = {
    "tamper": 4.0,
    "full": 2.5,
    "rouge": 50.0,
    "scoring": 20.0,
    "emergence_s": 90.0,
    "fresh": 15.0,
    "fork": 1.0,
    "cell_s": 2.0,
    "study_s": 3600.0,
    "install_s": 10.0,
    "battery_s": 5.0,
    "growth": 1.25,
}
NAMES = {"native": "gamekeeper", "trl": "TRL", "trl_tuned": "TRL, allocator tuned as ours"}


def write(docs: Path, record: Record | None = None) -> Path:
    """Write the page, and the record too if one is given."""
    store = docs / "records" / "bench.json"
    if record is not None:
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps(record, indent=1) + "\n")
    target = docs / "bench.md"
    target.write_text(render(json.loads(store.read_text())))
    return target


def render(record: Record) -> str:
    parts = [*head(record)]
    for name, section in SECTIONS.items():
        if name in record:
            parts += section(record[name], record)
    return "\n\n".join(parts) + "\n"


def renewed(known: Record, later: Record) -> Record:
    """A record with the sections that were measured later in place of its own; the page says which they are."""
    sections = [name for name in SECTIONS if name in later]
    marks = {name: {"commit": later["machine"]["commit"], "load": later["load"]} for name in sections}
    return {**known, **{k: later[k] for k in sections}, "renewed": {**known.get("renewed", {}), **marks}}


def kept(known: Record, whole: Record, names: Sequence[str]) -> Record:
    """The record of a whole run with the sections that it leaves out for their length, as they were measured before."""
    marks = {name: known["renewed"][name] for name in names if name in known}
    return {**whole, **{name: known[name] for name in marks}, "renewed": marks} if marks else whole


def again(mark: Record) -> str:
    return f"at `{mark['commit'][:12]}`, load before {mark['load']:.2f}"


def head(record: Record) -> Iterator[str]:
    about = record["machine"]
    yield "# Speed and size"
    yield (
        "Written by `make bench` from [records/bench.json](records/bench.json); not edited by hand. Every ratio "
        "compares two programs that ran in turn on the same machine. Seconds are medians unless said otherwise."
    )
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    rows = [
        ["machine", f"{about['processor']}, {about['cores']} cores, {about['system']}"],
        ["threads used", str(record["threads"])],
        ["load before", f"{record['load']:.2f}" + (" (busy: read with care)" if record["load"] > 0.5 else "")],
        ["versions", f"Python {about['python']}, {versions}"],
        ["commit", f"`{about['commit']}`"],
        *([f"measured apart: {name}", again(found)] for name, found in record.get("renewed", {}).items()),
    ]
    yield table(["", ""], rows)


def training(title: str, note: str, bar: str) -> Callable[[Record, Record], Iterator[str]]:
    """A section that compares the two sides; `bar` names the ratio asked for."""

    def section(found: Record, record: Record) -> Iterator[str]:
        sides = {k: found[k] for k in NAMES if k in found}
        ratio = wall(sides["trl"]) / wall(sides["native"])
        yield f"## {title}"
        yield note
        yield table(
            ["", "seconds", "sampling", "update", "new tokens a step", "peak memory", "of it before training"],
            [side_row(NAMES[k], side) for k, side in sides.items()],
        )
        yield verdict(f"{ratio:.2f} times as fast as TRL", ratio >= BARS[bar], f"{BARS[bar]:g} times")
        less = sides["native"]["peak_mb"] < sides["trl"]["peak_mb"]
        yield verdict("peak memory " + ("lower" if less else "not lower"), less, "lower than TRL's")
        if "work" in found and "peak" in record:
            yield from shares(sides, found["work"], record)

    return section


def wall(side: Record) -> float:
    """Seconds of a whole training where steps differ, of the median step where they are alike."""
    return sum(side["step_s"]) if side["scenario"] == "tamper" else median(side["step_s"])


def side_row(name: str, side: Record) -> list[str]:
    of = sum if side["scenario"] == "tamper" else median
    spans = [f"{of(side[k]):.2f}" for k in ("step_s", "generation_s", "update_s")]
    tokens = f"{sum(side['new_tokens']) / len(side['new_tokens']):.0f}"
    return [name, *spans, tokens, f"{side['peak_mb']:.0f} MB", f"{side['setup_mb']:.0f} MB"]


def shares(sides: dict[str, Record], work: Record, record: Record) -> Iterator[str]:
    """Useful floating-point operations a second against the machine's matrix-product peak."""
    flops = useful_flops(record["model"], work)
    peaks = record["peak"]["peak"]
    yield (
        f"Share of the machine's matrix-product peak (fp32 {peaks['fp32']:.0f}, bf16 {peaks['bf16']:.0f} GFLOP/s, "
        "measured by torch.mm). Counted are the operations that the step needs at least, with each prompt computed "
        "once for its group; whatever a side computes beyond that lowers its share."
    )
    rows = []
    for name, side in sides.items():
        kind = side.get("precision", "fp32")
        spent = {"generation": median(side["generation_s"]), "update": median(side["update_s"])}
        cells = [f"{flops[k] / s / 1e9 / peaks[kind]:.1%}" for k, s in spent.items()]
        rows.append([NAMES[name], kind, *cells])
    yield table(["", "products in", "sampling", "update"], rows)


def useful_flops(model: Record, work: Record) -> dict[str, float]:
    """Operations of one full-length step: every prompt once, every new token once forward, or three times in the
    update (forward, and backward for weights and inputs)."""
    prompts, prompt = work["items_per_step"], work["prompt_tokens"]
    replies, new = prompts * work["group"], work["max_new_tokens"]
    width, heads, kv = model["hidden_size"], model["num_attention_heads"], model["num_key_value_heads"]
    head = model["head_dim"]
    weights = width * head * (2 * heads + 2 * kv) + 3 * width * model["intermediate_size"]

    def tokens(count: int, context: float) -> float:
        return count * model["num_hidden_layers"] * (2 * weights + 4 * heads * head * context)

    forward = tokens(prompts * prompt, prompt / 2) + tokens(replies * new, prompt + new / 2)
    forward += replies * new * 2 * width * model["vocab_size"]
    return {"generation": forward, "update": 3 * forward}


def rouge(found: Record, record: Record) -> Iterator[str]:
    yield "## ROUGE-L against rouge_score"
    rows = []
    for name, p in found.items():
        spent = f"{p['theirs_s']:.2f} s", f"{p['ours_s']:.3f} s"
        rows.append([name, f"{p['identical']} of {p['pairs']}", *spent, f"{p['ratio']:.0f}", f"{p['ratio_again']:.0f}"])
    yield table(["pairs", "bit-identical", "rouge_score", "ours", "times as fast", "with warm caches"], rows)
    slowest, same = min(p["ratio"] for p in found.values()), all(p["identical"] == p["pairs"] for p in found.values())
    yield verdict(f"{slowest:.0f} times as fast at the least", slowest >= BARS["rouge"], f"{BARS['rouge']:g} times")
    yield verdict("every value the same to the last bit" if same else "values differ", same, "bit-identical")


def scoring(found: Record, record: Record) -> Iterator[str]:
    yield "## Replies scored a second"
    yield (
        "By one core: seconds of processor time where the judge and the programs of replies are left out (verdicts and "
        "results are kept from a first pass), seconds of the clock where they are counted. Compliance asks a judge "
        "that answers at once, over HTTP on this machine; summary scores articles of 150 to 700 words, tamper and "
        "selfgrade pocket items."
    )
    rows = []
    for name, game in found.items():
        theirs = f"{game['reference']:.0f}" if "reference" in game else "-"
        rows.append([name, str(game["replies"]), f"{game['excluded']:,.0f}", f"{game['included']:,.0f}", theirs])
    yield table(["game", "replies", "left out", "counted", "rouge_score + sacrebleu"], rows)
    ratio = found["summary"]["ratio"]
    yield verdict(
        f"summary {ratio:.0f} times as fast as the reference's calls",
        ratio >= BARS["scoring"],
        f"{BARS['scoring']:g} times",
    )


def start(found: Record, record: Record) -> Iterator[str]:
    yield "## Import"
    yield (
        f"`import gamekeeper` adds {1000 * found['import_s']:.0f} ms to the {1000 * found['python_s']:.0f} ms that "
        f"Python takes to start and end. Heavy modules that it loads: {', '.join(found['heavy_modules']) or 'none'}."
    )


def emergence(found: Record, record: Record) -> Iterator[str]:
    yield "## From the base to the exploit"
    yield "`gamekeeper run tamper --arm flawed`, as a user starts it, default settings."
    reached = found["step"] is not None
    rows = [
        ["first training batch with ER of .9 or more", f"step {found['step']}" if reached else "none"],
        ["training seconds until then", f"{found['training_s']:.1f}" if reached else "-"],
        [
            "seconds of the whole command",
            f"{found['whole_s']:.1f}, {found['steps']} steps, base and final tests included",
        ],
        ["ER on the test items at the end", f"{found['final_er']:.3f}"],
    ]
    yield table(["", ""], rows)
    met = reached and found["training_s"] <= BARS["emergence_s"]
    yield verdict(
        f"{found['training_s']:.0f} s" if reached else "not reached", met, f"{BARS['emergence_s']:g} s at most"
    )


def sandbox(found: Record, record: Record) -> Iterator[str]:
    yield "## The sandbox"
    yield (
        f"Programs at isolation level `{found['level']}`, each case in a process of its own. *function* is one line, "
        "*method* a LeetCode method with the imports that such programs are given: warm in the sandbox, made anew by a "
        "fresh `python -I`. The plain fork is of a process with a trainer's libraries "
        f"({', '.join(found['loaded'])}), without isolation, as the public reference does it. Milliseconds a case, "
        "medians; ratios are medians over rounds."
    )
    kinds = ("function", "method")
    rows = [[name, *(f"{1000 * median(found[kind][name]):.2f}" for kind in kinds)] for name in found["function"]]
    yield table(["", "function", "method"], rows)
    yield (
        f"From nothing to the first answer: {1000 * found['start_s']:.0f} ms. A fork of a process that has loaded "
        f"nothing, which no sandbox that forks can go below: {1000 * found['bare_fork_s']:.2f} ms."
    )
    for kind in kinds:
        one, two = (over(found[kind], "fresh", f"workers {n}") for n in (1, 2))
        both = over(found[kind], "fresh, two at once", "workers 2")
        bar = f"{BARS['fresh']:g} times"
        yield verdict(f"{kind}: {two:.1f} times as fast as a fresh interpreter", two >= BARS["fresh"], bar)
        yield f"With one worker {one:.1f} times; two workers against two interpreters at once {both:.1f} times."
        plain = over(found[kind], "plain fork", "workers 1")
        yield verdict(f"{kind}: {plain:.1f} times as fast as a plain fork", plain >= BARS["fork"], "1 times")


def grid(found: Record, record: Record) -> Iterator[str]:
    yield "## A grid of cells"
    yield (
        f"{found['cells']} short runs ({found['steps']} steps of compliance) as a study runs them, one thread a "
        "worker. What no cell accounts for is the grid's own: starting a worker, loading torch, writing records."
    )
    rows = [
        [name, f"{found[key]['whole_s']:.1f}", f"{found[key]['cells_s']:.1f}"]
        for key, name in (("one", "one worker"), ("two", "two workers"))
    ]
    yield table(["", "seconds in all", "seconds of the cells, added"], rows)
    cost = found["overhead_s"]
    yield verdict(f"{cost:.2f} s of overhead a cell", cost <= BARS["cell_s"], f"{BARS['cell_s']:g} s at most")
    yield f"Two workers do the work of {2 * found['efficiency']:.2f}."


def study(found: Record, record: Record) -> Iterator[str]:
    yield "## A whole study"
    yield (
        f"`gamekeeper study {found['study']}` into an empty folder, {found['workers']} workers: {found['cells']} "
        f"cells, {found['cells_s'] / 60:.0f} minutes of work in all."
    )
    took = found["whole_s"]
    yield verdict(f"{took / 60:.0f} minutes", took <= BARS["study_s"], f"{BARS['study_s'] / 60:g} minutes at most")


def audit(found: Record, record: Record) -> Iterator[str]:
    yield "## The audit"
    yield (
        f"A whole battery on a plain function of 16 examples, by the command's defaults: {found['attacks']} attacks, "
        f"{found['calls']} calls. Attacks and calls a second are of processor time, of parent and children together."
    )
    rows = [
        ["a sound grader", f"{found['battery_s']:.1f} s", f"{found['battery_cpu_s']:.2f} s of a processor"],
        ["one with a hole", f"{found['holed_s']:.1f} s", ""],
        ["attacks a second and core", f"{found['attacks_per_cpu_s']:,.0f}", f"{found['calls_per_cpu_s']:,.0f} calls"],
    ]
    yield table(["", "", ""], rows)
    yield verdict(
        f"{found['battery_s']:.1f} s", found["battery_s"] <= BARS["battery_s"], f"{BARS['battery_s']:g} s at most"
    )
    for what, ratio in found["growth"].items():
        text = f"{ratio:.2f} times the cost of straight proportion as the {what} grow"
        yield verdict(text, ratio <= BARS["growth"], f"{BARS['growth']:g} times, linear")
    if "install_s" in found:
        names = found["installed"]
        yield f"The package without extras, installed by pip into a new environment: {len(names)} distributions."
        light = found["install_s"] <= BARS["install_s"] and "torch" not in names
        yield verdict(f"{found['install_s']:.1f} s", light, f"{BARS['install_s']:g} s at most, without torch")
    if len(found["others"]) > 1:
        yield "On the same six graders of the corpus, median seconds a grader:"
        yield table(["auditor", "seconds"], [[name, f"{s:.1f}"] for name, s in found["others"].items()])


def over(found: Record, slow: str, fast: str) -> float:
    """How many times as fast, round by round."""
    return median(a / b for a, b in zip(found[slow], found[fast], strict=True))


def verdict(text: str, met: bool, bar: str) -> str:
    return f"**{text}** (bar: {bar}; {'met' if met else 'NOT met'})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


SECTIONS: dict[str, Callable[[Record, Record], Iterator[str]]] = {
    "tamper": training(
        "Training: 30 steps of tamper",
        "64 prompts, 8 replies each, from the shipped model, in the flawed game; the same items, rewards, optimiser "
        "and threads on both sides. Seconds are sums over all steps. Replies are as long as each side's policy makes "
        "them.",
        "tamper",
    ),
    "full": training(
        "Training: one full-length step",
        "64 prompts of 64 tokens, 8 replies each of exactly 32 tokens, random rewards, four optimiser updates: nothing "
        "to skip. Seconds are those of the median step.",
        "full",
    ),
    "emergence": emergence,
    "grid": grid,
    "study": study,
    "audit": audit,
    "rouge": rouge,
    "scoring": scoring,
    "sandbox": sandbox,
    "start": start,
}
