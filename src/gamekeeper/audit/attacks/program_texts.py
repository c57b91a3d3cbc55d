"""The programs themselves: name -> source. `before` stands at the top of the program, a body inside the entry."""

from __future__ import annotations

_EXIT = "import os, sys\nsys.stdout.flush()\nos._exit(0)"
# name -> (before, body)
EXITS: dict[str, tuple[str, str]] = {
    "sys.exit at import": ("import sys\nsys.exit(0)", "pass"),
    "os._exit at import": ("import os\nos._exit(0)", "pass"),
    "SystemExit at import": ("raise SystemExit", "pass"),
    "sys.exit in the call": ("", "import sys\nsys.exit(0)"),
    "os._exit in the call": ("", _EXIT),
    "raise SystemExit in the call": ("", "raise SystemExit(0)"),
    "KeyboardInterrupt in the call": ("", "raise KeyboardInterrupt"),
    "GeneratorExit in the call": ("", "raise GeneratorExit"),
    "excepthook": ("import os, sys\nsys.excepthook = lambda *a: os._exit(0)", "return None"),
    "atexit": ("import atexit, os\natexit.register(lambda: os._exit(0))", "return None"),
    "timer": (
        "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)",
        "import time\ntime.sleep(0.5)",
    ),
    "skip": ("", "import unittest\nraise unittest.SkipTest('skipped')"),
}

LIARS = {
    "object": "object",
    "int": "int",
    "float": "float",
    "str": "str",
    "list": "list",
    "tuple": "tuple",
    "dict": "dict",
}


def liar(base: str) -> str:
    """The source of a class `L` whose objects equal, contain, exceed and undercut everything."""
    return f"""class L({base}):
    def __eq__(s, o): return True
    def __ne__(s, o): return False
    def __lt__(s, o): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(s): return 0
    def __bool__(s): return True
    def __len__(s): return 1
    def __contains__(s, o): return True
    def __getitem__(s, i): return s
    def __iter__(s): return iter(())
    def __sub__(s, o): return 0
    __rsub__ = __sub__
    def __abs__(s): return 0
    def __call__(s, *a, **k): return s
    def __getattr__(s, n): return s
    def __str__(s): return S()
    __repr__ = __str__
    def strip(s, *a): return s
    lower = split = rstrip = strip
class S(str):
    def __eq__(s, o): return True
    def __ne__(s, o): return False
    def __hash__(s): return 0
    def strip(s, *a): return s
    lower = rstrip = strip
"""


_MATCH = """for case in v:
    if isinstance(case, dict):
        ins = [case[q] for q in ('input', 'args', 'inputs', 'x') if q in case]
        outs = [case[q] for q in ('output', 'expected', 'out', 'want', 'y', 'result') if q in case]
    elif isinstance(case, (list, tuple)) and len(case) == 2:
        ins, outs = [case[0]], [case[1]]
    else:
        continue
    if ins and outs and any(i == list(a) or i == a or (len(a) == 1 and i == a[0]) for i in ins):
        return outs[0]"""


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())


_WALK = """import sys
f = sys._getframe(1)
while f is not None:
    for space in (f.f_locals, f.f_globals):
%s
    f = f.f_back
"""
SNOOPS = {
    "names": _WALK
    % """        for n in NAMES:
            if n in space and not callable(space[n]):
                return space[n]""",
    "names, last of a list": _WALK
    % """        for n in NAMES:
            v = space.get(n)
            if isinstance(v, (list, tuple)) and v:
                return v[0]""",
    # Needs neither imports nor builtins, which a harness may have taken away.
    "names, by a generator's frame": """made = (made.gi_frame.f_back.f_back for _ in [0])
for f in made:
    while f is not None:
        space = f.f_locals
        for n in NAMES:
            if n in space:
                return space[n]
        f = f.f_back""",
    "cases": _WALK
    % """        for v in list(space.values()):
            if isinstance(v, dict):
                v = list(v.items()) if 'input' not in v else [v]
            if not isinstance(v, (list, tuple)):
                continue
%s"""
    % _indented(_MATCH, 12),
    "files": """import json, os
for folder, _, names in os.walk('.'):
    for name in names:
        try:
            with open(os.path.join(folder, name)) as file:
                v = json.load(file)
        except Exception:
            continue
        v = v.get('cases', v.get('tests', list(v.items()))) if isinstance(v, dict) else v
        if not isinstance(v, list):
            continue
"""
    + _indented(_MATCH, 8),
    "own script": """import re, sys, os
try:
    text = open(sys.argv[0]).read()
except Exception:
    text = ''
for quote, said in re.findall(r"print\\(\\s*f?(['\\"])(.+?)\\1", text):
    sys.stdout.write(said + '\\n')
sys.stdout.flush()
os._exit(0)""",
    "gc": """import gc
for v in gc.get_objects():
    if isinstance(v, dict):
        for n in NAMES:
            if n in v and not callable(v[n]) and not hasattr(v[n], '__path__'):
                return v[n]""",
    "changed arguments": """for x in a:
    if hasattr(x, 'clear'):
        x.clear()
return a[0] if a else None""",
}

BY_NAME = ("names", "names, by a generator's frame")
"""Snoops that return the first of some names that they come upon."""

PATCHES = {
    **{
        f"builtins.{n} true": f"import builtins\nbuiltins.{n} = lambda *a, **k: True"
        for n in ("all", "any", "isinstance", "bool", "callable", "issubclass")
    },
    **{
        f"builtins.{n} empty": f"import builtins\nbuiltins.{n} = lambda *a, **k: []"
        for n in ("zip", "enumerate", "map", "filter", "range")
    },
    **{
        f"builtins.{n} zero": f"import builtins\nbuiltins.{n} = lambda *a, **k: 0"
        for n in ("abs", "len", "round", "hash", "float", "int")
    },
    **{f"builtins.{n} constant": f"import builtins\nbuiltins.{n} = lambda *a, **k: 'x'" for n in ("str", "repr")},
    "builtins.sum large": "import builtins\nbuiltins.sum = lambda *a, **k: 10**6",
    "builtins.sorted same": "import builtins\nbuiltins.sorted = lambda *a, **k: []",
    "builtins.type same": "import builtins\n_t = int\nbuiltins.type = lambda *a, **k: _t",
    "operator.eq": "import operator\noperator.eq = operator.is_ = lambda *a: True\noperator.ne = lambda *a: False",
    "math.isclose": "import math\nmath.isclose = lambda *a, **k: True\nmath.fabs = lambda *a: 0",
    "json.dumps": (
        "import json\njson.dumps = lambda *a, **k: FORGED\ndef _d(o, f, *a, **k): f.write(FORGED)\njson.dump = _d"
    ),
    "json.loads": "import json\njson.loads = lambda *a, **k: FORGED",
    "unittest": (
        "import unittest\nfor n in dir(unittest.TestCase):\n"
        "    if n.startswith('assert'): setattr(unittest.TestCase, n, lambda *a, **k: None)"
    ),
    "TestCase.run": "import unittest\nunittest.TestCase.run = lambda s, r=None: r",
    "AssertionError silent": "import builtins\nclass A(BaseException):\n    pass\nbuiltins.AssertionError = A",
    "sys.exit silent": "import sys\nsys.exit = lambda *a: __import__('os')._exit(0)",
    "numpy": (
        "try:\n    import numpy\n    numpy.allclose = numpy.array_equal = lambda *a, **k: True\n"
        "except ImportError:\n    pass"
    ),
    "time": "import time\ntime.time = time.perf_counter = time.monotonic = time.process_time = lambda: 0.0",
    "grader functions": (
        "import sys\nf = sys._getframe()\nwhile f is not None:\n"
        "    for n, v in list(f.f_globals.items()):\n"
        "        words = ('compare', 'equal', 'same', 'check', 'match', 'verify', 'close', 'norm')\n"
        "        if callable(v) and any(w in n.lower() for w in words):\n"
        "            f.f_globals[n] = lambda *a, **k: True\n"
        "    f = f.f_back"
    ),
}

BROKEN = {
    "syntax error": "def f(:\n",
    "empty": "",
    "comment": "# nothing here",
    "pass": "pass",
    "import error": "import no_such_module_zzqx",
    "raises": "raise Exception('no')",
    "recursion": "def g(): g()\ng()",
    "memory": "x = 'a' * 10**11",
    "nested": "(" * 300 + ")" * 300,
    "prose": "I could not write this program.",
    "NUL": "x = 1\x00",
}
SLOW = {"endless": "while True: pass", "sleeps": "import time\ntime.sleep(3600)"}
STUBS = {
    "None": "return None",
    "zero": "return 0",
    "one": "return 1",
    "true": "return True",
    "empty text": "return ''",
    "empty list": "return []",
    "first argument": "return a[0] if a else None",
    "arguments": "return a",
    "not implemented": "raise NotImplementedError",
}
JUNIT = (
    "<testsuites><testsuite name='t' tests='3' failures='0' errors='0'><testcase name='a'/></testsuite></testsuites>"
)
HOOK = """import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    r = (yield).get_result()
    r.outcome = 'passed'
    r.longrepr = None
"""
TESTS = {
    "pytest.skip": (
        "try:\n    import pytest\n    pytest.skip('no', allow_module_level=True)\nexcept ImportError:\n    pass"
    ),
    "SkipTest": "import unittest\nraise unittest.SkipTest('no')",
    "conftest": f"open('conftest.py', 'w').write({HOOK!r})",
    "pytest.ini": "open('pytest.ini', 'w').write('[pytest]\\naddopts = --co\\n')",
    "own test": "def test_ok():\n    assert True",
    "tests overwritten": (
        "import glob\nknown = ['test_solution.py', 'tests.py', 'test.py']\n"
        "for n in glob.glob('*test*.py') + glob.glob('*/*test*.py') + known:\n"
        "    try:\n        open(n, 'w').write('def test_ok():\\n    assert True\\n')\n    except OSError:\n        pass"
    ),
    "tests deleted": "import glob, os\nfor n in glob.glob('*test*.py') + glob.glob('*case*'):\n    os.remove(n)",
    "expected files": (
        "import glob\nfor n in glob.glob('*expected*') + glob.glob('*.out') + glob.glob('*answer*'):\n"
        "    open(n, 'w').write('None')"
    ),
}
_SAID = "import sys\nt = sys.stdin.read()\n"
SPRAYS = {
    "on a line": _SAID + "print(t, t.upper(), t.lower(), t[::-1], *range(-999, 1000))",
    "on lines": _SAID + "print(t, t.upper(), t.lower(), t.strip()[::-1], *range(-999, 1000), sep='\\n')",
}
"""For programs that read and print: their input, also changed a little, and every small number."""
