#!/usr/bin/env python3
"""A page that a program prints is the one in docs/.

    page.py PROGRAM PAGE.md
"""
import difflib
import subprocess
import sys

made = subprocess.run([sys.argv[1]], capture_output=True, text=True, check=True, timeout=60).stdout
with open(sys.argv[2], encoding="utf-8") as f:
    kept = f.read()
if made != kept:
    sys.stdout.writelines(list(difflib.unified_diff(kept.splitlines(True), made.splitlines(True), sys.argv[2], "as the tables say"))[:60])
    sys.exit(f"{sys.argv[2]} is out of date: {sys.argv[1]} > {sys.argv[2]}")
