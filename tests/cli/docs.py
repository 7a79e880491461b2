#!/usr/bin/env python3
"""Runs the commands that a page shows.

    docs.py SMELT PAGE.md

Every fenced block says what it is: ```sh blocks are run, in order, in one folder per page that is empty but for `model/` (the
small checkpoint of tests/data); any other kind (text, c, json, cmake ...) is not. A block without a kind is an error, so that
nothing escapes by accident. What a reader is not shown, such as making a second file, stands in an HTML comment on a line of
its own: <!-- sh: cp -r model other -->
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import run


def blocks(text):
    """(line, kind, script) of every block and hidden command."""
    kind, start, lines = None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*(```+|~~~+)\s*(.*)$", line)
        if kind is None:
            hidden = re.match(r"<!-- sh: (.*) -->\s*$", line)
            if hidden:
                yield number, "sh", hidden.group(1) + "\n"
            elif fence:
                kind, start, lines = fence.group(2).strip(), number, []
        elif fence:
            yield start, kind, "".join(lines)
            kind = None
        else:
            lines.append(line + "\n")
    if kind is not None:
        yield start, "", ""  # never closed


def main(argv):
    if len(argv) != 3:
        print("usage: docs.py SMELT PAGE.md", file=sys.stderr)
        return 2
    smelt, page = argv[1], argv[2]
    with open(page, encoding="utf-8") as f:
        found = list(blocks(f.read()))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="smelt-docs-") as tmp:
        env = run.environment(smelt)
        checkpoint = os.path.join(env["DATA"], "tiny-llama")
        if os.path.isdir(checkpoint):
            shutil.copytree(checkpoint, os.path.join(tmp, "model"))
        for line, kind, script in found:
            if not kind:
                print(f"{page}:{line}: a block without a kind: write ```sh (run by this test) or ```text")
                failed += 1
            if kind != "sh":
                continue
            done = subprocess.run(
                ["sh", "-e"], input=script, cwd=tmp, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120
            )
            if done.returncode:
                print(f"{page}:{line}: ends with {done.returncode}:\n{script}{done.stdout}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
