#!/usr/bin/env python3
"""Breaks every rule of guards.py once, in a small tree of its own, and sees that the rule says so; and that it is silent about
the nearest thing that is allowed.

    selftest.py CC
"""

import os
import subprocess
import sys
import tempfile

import guards

CC = sys.argv[1] if len(sys.argv) > 1 else "cc"

STATUSES = '#define LIST(X) \\\\\n    X(OK, 0, 0, "done") \\\\\n    X(E_A, 1, 2, "wrong")\n'

# (rule, files, expected): each expected string must be in one of the rule's reports, and there must be as many reports.
CASES = [
    ("layers", {"src/ir/a.c": '#include "base/b.h"\n#include "smelt.h"\n', "src/base/b.h": "", "src/smelt.h": ""}, []),
    ("layers", {"src/base/a.c": '#include "ir/b.h"\n', "src/ir/b.h": ""}, ["src/base/a.c:1: base includes src/ir/b.h"]),
    ("layers", {"src/arch/a.c": '\n#include "vocab/b.h"\n', "src/vocab/b.h": ""}, ["src/arch/a.c:2: arch includes src/vocab/b.h"]),
    ("layers", {"src/convert/a.c": '#include "verify/b.h"\n', "src/verify/b.h": ""}, ["convert includes src/verify/b.h"]),
    ("layers", {"src/ir/a.c": '#include "formats/f.h"\n', "formats/f.h": ""}, ["ir includes formats/f.h"]),
    ("layers", {"formats/a.c": '#include "quant/q.h"\n', "quant/q.h": ""}, ["formats includes quant/q.h"]),
    ("layers", {"quant/a.c": '# include "../formats/q.h"\n', "formats/q.h": ""}, ["quant includes formats/q.h"]),
    ("layers", {"src/smelt.h": '#include "base/b.h"\n', "src/base/b.h": ""}, ["the public header includes src/base/b.h"]),
    ("layers", {"src/base/a.c": '#include "gone.h"\n'}, ['"gone.h" is no file here']),
    ("layers", {"src/extra/a.c": ""}, ["folder 'extra' is no layer"]),
    ("layers", {"src/base/a.c": '/* #include "ir/b.h" */\n', "src/ir/b.h": ""}, []),
    ("banned", {"src/ir/a.c": "void f(void) { printf(x); }\n"}, ["src/ir/a.c:1: printf()"]),
    ("banned", {"quant/a.c": "\nvoid f(void) { abort (); exit(1); }\n"}, ["quant/a.c:2: abort()", "exit()"]),
    ("banned", {"formats/a.c": "void *f(void) { return malloc(1); }\n"}, ["malloc()"]),
    ("banned", {"formats/a.h": "static inline void f(int i) { assert(i); }\n"}, ["assert()"]),
    ("banned", {"src/base/a.c": "void *f(void) { return malloc(1); }\n"}, []),
    ("banned", {"src/base/a.c": "void f(void) { strcpy(a, b); }\n"}, ["strcpy()"]),
    ("banned", {"src/ir/a.c": '/* printf(x) */\nchar *s = "exit(1)"; // abort()\nvoid f(void) { arena_free(a); arena_printf(a); }\n'}, []),
    ("names", {"src/ir/a.c": 'char *s = "blk.%d";\n'}, ['a tensor\'s name in a string: "blk.%d"']),
    ("names", {"quant/a.c": 'char *s = "output.weight";\n'}, ["output.weight"]),
    ("names", {"tools/a.c": '\n\nchar *s = "model.layers.0";\n'}, ["tools/a.c:3:"]),
    ("names", {"src/arch/a.c": 'char *s = "blk.";\n', "formats/a.c": 'char *s = "blk.";\n', "src/ir/a.c": "/* \"blk.0\" */\n"}, []),
    ("switches", {"src/ir/a.c": "void f(void) { switch (t->dtype) { default: break; } }\n"}, ["switch (t->dtype)"]),
    ("switches", {"quant/a.c": "void f(void) { switch (x) { case SMELT_DT_F32: break; } }\n"}, ["case SMELT_DT_F32"]),
    ("switches", {"tools/a.c": "void f(void) { switch (arch_of(m)) { default: break; } }\n"}, ["switch (arch_of(m))"]),
    ("switches", {"formats/a.c": "void f(void) { switch (opcode) { case 'x': break; } }\n"}, []),
    ("foreign", {"docs/a.md": "see issue " + "3\n"}, ["docs/a.md:1: 'issue " + "3'"]),
    ("foreign", {"src/ir/a.c": "/* found in this sess" + "ion */\n"}, ["says nothing about the project"]),
    ("foreign", {"README.md": "/wor" + "k/x\n"}, ["README.md:1:"]),
    ("foreign", {"tests/run.py": "# see ../share" + "d/x\n"}, ["tests/run.py:1:"]),
    ("foreign", {"tests/data/vocab.json": '["sess' + 'ion"]\n', "docs/a.md": "static and shared libraries\n"}, []),
    ("foreign", {"tests/conftest.py": 'scope="sess' + 'ion"\n'}, []),
    ("errors", {"src/smelt.h": STATUSES, "docs/errors.md": "| `SMELT_OK` | 0 | 0 | done |\n| `SMELT_E_A` | 1 | 2 | wrong |\n"}, []),
    ("errors", {"src/smelt.h": STATUSES, "docs/errors.md": "| `SMELT_OK` | 0 | 0 | done |\n"}, ["no row | `SMELT_E_A` | 1 | 2 | wrong |"]),
    ("errors", {"src/smelt.h": STATUSES, "docs/errors.md": "| `SMELT_E_A` | 1 | 2 | wrong |\n| `SMELT_OK` | 0 | 0 | done |\n"}, ["the order"]),
    ("errors", {"src/smelt.h": STATUSES, "docs/errors.md": "| `SMELT_OK` | 0 | 3 | done |\n| `SMELT_E_A` | 1 | 2 | wrong |\n"}, ["no row", "has no status"]),
    ("headers", {"src/smelt.h": "int f(void);\n"}, []),
    ("headers", {"src/smelt.h": "", "src/ir/a.h": "size_t f(void);\n"}, ["src/ir/a.h:1: does not compile alone"]),
    ("headers", {"src/smelt.h": "int f(unknown);\n"}, ["src/smelt.h:1: does not compile alone"]),
]

# (C source, expected) of one object in an archive.
GLOBALS = [
    ("static const int table[] = {1, 2};\nconst int *f(void) { return table; }\n", []),
    ("static const char *const names[] = {\"a\"};\nconst char *f(int i) { return names[i]; }\n", []),
    ("static int count;\nint f(void) { return ++count; }\n", ["of mutable data in .bss"]),
    ("static int count = 7;\nint f(void) { return ++count; }\n", ["of mutable data in .data"]),
    ("static const char *names[] = {\"a\"};\nconst char **f(void) { return names; }\n", ["of mutable data in .data"]),
    ("static _Thread_local int count;\nint f(void) { return ++count; }\n", ["of mutable data in .tbss"]),
]


def check(what, found, expected):
    said = [f"{path}:{line}: {text}" for path, line, text in found]
    if len(said) == len(expected) and all(any(e in s for s in said) for e in expected):
        return 0
    print(f"{what}: expected {expected}, got {said}")
    return 1


def main():
    failed = 0
    for rule, files, expected in CASES:
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
            args = [CC, ""] if rule == "headers" else []
            failed += check(f"{rule} {list(files)}", guards.RULES[rule](root, *args), expected)
    for source, expected in GLOBALS:
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "a.c"), "w", encoding="utf-8") as f:
                f.write(source)
            subprocess.run([CC, "-O1", "-fPIC", "-c", "a.c"], cwd=root, check=True)
            subprocess.run(["ar", "rcs", "a.a", "a.o"], cwd=root, check=True)
            failed += check(f"globals {source!r}", guards.globals_(root, os.path.join(root, "a.a")), expected)
    missing = set(guards.RULES) - {c[0] for c in CASES} - {"globals"}
    if missing:
        print(f"rules without a case here: {missing}")
        failed += 1
    print(f"{len(CASES) + len(GLOBALS)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
