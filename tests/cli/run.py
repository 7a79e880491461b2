#!/usr/bin/env python3
"""Runs command-line cases with exact expected output.

    run.py SMELT CASE-DIR...          ends with 1 if a case differs
    run.py --set SMELT CASE-DIR...    writes what was seen as the expectation; read the difference before you commit it

A case is a folder with these files:
    cmd      a shell script, run with `sh` in an empty folder of its own; smelt is in PATH, DATA names tests/data
    stdout   what it must print there; absent: nothing
    stderr   the same for errors; absent: nothing
    status   its exit code; absent: 0
In stdout and stderr {{REGEX}} stands for any text that the expression matches within its line.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def environment(smelt):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SMELT_")}
    env["PATH"] = os.path.dirname(os.path.abspath(smelt)) + os.pathsep + env["PATH"]
    env["DATA"] = os.path.join(os.path.dirname(HERE), "data")
    env["LC_ALL"] = "C.UTF-8"
    env["TERM"] = "dumb"
    return env


def expected_text(case, name, default=""):
    path = os.path.join(case, name)
    if not os.path.exists(path):
        return default
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


def line_matches(want, got):
    if "{{" not in want:
        return want == got
    parts = re.split(r"\{\{(.*?)\}\}", want)
    return re.fullmatch("".join(p if i % 2 else re.escape(p) for i, p in enumerate(parts)), got, re.S) is not None


def text_matches(want, got):
    want, got = want.splitlines(True), got.splitlines(True)
    return len(want) == len(got) and all(map(line_matches, want, got))


def run(smelt, case, rewrite):
    with tempfile.TemporaryDirectory(prefix="smelt-cli-") as tmp:
        work = os.path.join(tmp, "w")
        os.mkdir(work)
        done = subprocess.run(
            ["sh", os.path.join(os.path.abspath(case), "cmd")],
            cwd=work,
            env=environment(smelt),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
    seen = {
        "stdout": done.stdout.decode("utf-8", "backslashreplace"),
        "stderr": done.stderr.decode("utf-8", "backslashreplace"),
        "status": f"{done.returncode}\n",
    }
    ok = True
    for name, got in seen.items():
        want = expected_text(case, name, "0\n" if name == "status" else "")
        if text_matches(want, got):
            continue
        if rewrite:
            path = os.path.join(case, name)
            if got == ("0\n" if name == "status" else ""):
                os.remove(path)
            else:
                with open(path, "w", encoding="utf-8", newline="") as f:
                    f.write(got)
            continue
        ok = False
        print(f"{os.path.basename(case.rstrip('/'))}: {name} differs")
        sys.stdout.writelines(
            line if line.endswith("\n") else line + "\n"
            for line in difflib.unified_diff(want.splitlines(True), got.splitlines(True), "expected", "got")
        )
    return ok


def main(argv):
    rewrite = "--set" in argv
    argv = [a for a in argv if a != "--set"]
    if len(argv) < 3:
        print("usage: run.py [--set] SMELT CASE-DIR...", file=sys.stderr)
        return 2
    failed = sum(not run(argv[1], case, rewrite) for case in argv[2:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
