#!/usr/bin/env python3
"""The runners of this folder must fail where something differs."""

import contextlib
import io
import os
import sys
import tempfile

import docs
import run

FENCE = "```"
CASES = [  # files of a case, expected verdict
    ({"cmd": "echo a"}, False),
    ({"cmd": "echo a", "stdout": "a\n"}, True),
    ({"cmd": "printf a", "stdout": "a\n"}, False),
    ({"cmd": "echo a >&2", "stdout": "a\n"}, False),
    ({"cmd": "echo a >&2", "stderr": "a\n"}, True),
    ({"cmd": "exit 3"}, False),
    ({"cmd": "exit 3", "status": "3\n"}, True),
    ({"cmd": "true", "status": "3\n"}, False),
    ({"cmd": "echo took 1.5 s.", "stdout": "took {{[0-9.]+}} s.\n"}, True),
    ({"cmd": "echo took 1.5 sx", "stdout": "took {{[0-9.]+}} s.\n"}, False),
    ({"cmd": "echo a; echo b", "stdout": "{{.*}}\n"}, False),
    ({"cmd": "ls -A | wc -l", "stdout": "0\n"}, True),
]
PAGES = [
    (f"{FENCE}sh\ntrue\n{FENCE}\n", 0),
    (f"{FENCE}sh\nfalse\ntrue\n{FENCE}\n", 1),
    (f"{FENCE}text\nfalse\n{FENCE}\n", 0),
    (f"{FENCE}\nfalse\n{FENCE}\n", 1),
    (f"{FENCE}sh\ntrue\n", 1),
    (f"<!-- sh: touch seen -->\n{FENCE}sh\ntest -e seen\n{FENCE}\n", 0),
    (f"text\n{FENCE}sh\ntouch seen\n{FENCE}\n\n{FENCE}sh\ntest -e seen\n{FENCE}\n", 0),
]


def main():
    failed = 0
    for files, expected in CASES:
        with tempfile.TemporaryDirectory() as case, contextlib.redirect_stdout(io.StringIO()):
            for name, text in files.items():
                with open(os.path.join(case, name), "w", encoding="utf-8") as f:
                    f.write(text)
            verdict = run.run("/bin/true", case, False)
        if verdict != expected:
            print(f"case {files}: {verdict}")
            failed += 1
    for text, expected in PAGES:
        with tempfile.TemporaryDirectory() as tmp, contextlib.redirect_stdout(io.StringIO()):
            page = os.path.join(tmp, "page.md")
            with open(page, "w", encoding="utf-8") as f:
                f.write(text)
            verdict = docs.main(["docs.py", "/bin/true", page])
        if verdict != expected:
            print(f"page {text!r}: {verdict}")
            failed += 1
    print(f"{len(CASES) + len(PAGES)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
