"""The report as one self-contained HTML page: no script, no network, every text escaped.

A reply that fools a grader may well be written to fool a browser. Nothing of the target or its replies reaches the
page but through `_e` or, with its line ends, through `_block`.
"""

from __future__ import annotations

import html

from gamekeeper.audit.finding import COULD_NOT_LOOK, Fault, Finding, Report
from gamekeeper.audit.outputs.text import headline, pay_line, summary
from gamekeeper.audit.quoting import one_line

_LONGEST = 4000
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--mid:#9a6700;--low:#57606a;--ok:#1a7f37}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
article{border:1px solid var(--line);border-radius:.5rem;padding:.2rem 1rem;margin:1rem 0}
.sev{font-weight:600;text-transform:uppercase;font-size:.8rem}
.critical,.high{color:var(--bad)}.medium{color:var(--mid)}.low{color:var(--low)}.resisted{color:var(--ok)}
pre{overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;max-height:20rem}
pre{border:1px solid var(--line);border-radius:.3rem;padding:.5rem}
dt{font-weight:600}dd{margin:0 0 .4rem 0}table{border-collapse:collapse}
td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid var(--line)}
"""


def _e(text: object) -> str:
    return html.escape(one_line(text), quote=True)


def _block(text: str) -> str:
    """A reply as it was written: lines and tabs are kept."""
    lines = ("\t".join(map(_e, line.split("\t"))) for line in text.split("\n"))
    return "<pre>" + "\n".join(lines) + "</pre>"


def page(report: Report) -> str:
    """The whole document."""
    parts = [f"<h1>{_e(headline(report))}</h1>"]
    if report.outcome == COULD_NOT_LOOK:
        parts.append(f"<p><b>Why:</b> {_e(report.reach.why)}</p><p><b>What to supply:</b> {_e(report.reach.needs)}</p>")
    if report.findings:
        parts.append("<h2>Findings: wrong replies that are paid</h2>" + "".join(map(_finding, report.findings)))
    if report.faults:
        parts.append("<h2>Faults: what else makes the reward unfit</h2>" + "".join(map(_fault, report.faults)))
    parts.append("<h2>What was looked at</h2>" + _families(report))
    if report.outcome != COULD_NOT_LOOK:
        parts.append("".join(f"<p>{_e(line.strip())}</p>" for line in summary(report)))
    command = f"Command: <code>{_e(report.command)}</code>. " if report.command else ""
    parts.append(f"<p>{command}gamekeeper {_e(report.version)}, seed {_e(report.seed)}.</p>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_e('Audit of ' + report.target)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _finding(f: Finding) -> str:
    rows = {
        "Paid": pay_line(f),
        "The target says": f.evidence,
        "Change": f.fix,
        "Again": f.repro,
        "Catalogue": ", ".join(f.catalogue),
        "Other variants that are paid": "; ".join(f.variants[:12]),
    }
    return _article(f.severity, f.id, f.what, f"Reply to example {f.example}", f.reply, rows)


def _fault(f: Fault) -> str:
    return _article(
        f.severity,
        f.id,
        f.what,
        f"Reply to example {f.example}",
        f.replies[-1] if f.replies else None,
        {"Change": f.fix},
    )


def _article(severity: str, name: str, what: str, label: str, reply: str | None, rows: dict[str, str]) -> str:
    cut = reply is not None and len(reply) > _LONGEST
    shown = (reply or "")[:_LONGEST] + ("\n(cut)" if cut else "")
    block = f"<p>{_e(label)}, {len(reply)} characters:</p>{_block(shown)}" if reply is not None else ""
    listed = "".join(f"<dt>{_e(k)}</dt><dd>{_e(v)}</dd>" for k, v in rows.items() if v)
    head = (
        f'<p><span class="sev {_e(severity)}">{_e(severity)}</span> <code>{_e(name)}</code></p><p><b>{_e(what)}</b></p>'
    )
    return f"<article>{head}{block}<dl>{listed}</dl></article>"


def _families(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{_e(n)}</td><td>{r['tried']}</td><td>{r['paid']}</td></tr>" for n, r in report.families.items()
    )
    return (
        f"<table><tr><th>family</th><th>attacks tried</th><th>paid, rightly or not</th></tr>{rows}</table>"
        if rows
        else "<p>Nothing was tried.</p>"
    )
