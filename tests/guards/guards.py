#!/usr/bin/env python3
"""Rules that the compiler does not know, checked on the sources.

    guards.py RULE ROOT [ARGUMENTS...]      prints each violation as FILE:LINE: TEXT; ends with 1 if there is one

selftest.py breaks every rule once and sees it fail.
"""

import os
import re
import subprocess
import sys
import tempfile

# Who may include whom. Folders of src are named by their own name; each may also include itself.
CORE = {"base", "ir", "arch", "vocab", "engine", "convert", "verify"}
LAYERS = {
    "base": set(),
    "ir": {"base"},
    "arch": {"base", "ir"},
    "vocab": {"base", "ir"},
    "engine": {"base", "ir", "arch", "vocab"},
    "convert": {"base", "ir", "arch", "vocab", "engine"},
    "verify": {"base", "ir", "arch", "vocab", "engine"},
    "formats": CORE,
    "quant": CORE,
    "tools": CORE | {"formats", "quant"},
}

# Library code returns a status: it never prints, ends the process, or trusts a length.
BANNED = {
    "printf", "vprintf", "fprintf", "vfprintf", "dprintf", "puts", "fputs", "putchar", "perror",
    "abort", "exit", "_exit", "quick_exit", "assert",
    "gets", "strcpy", "strcat", "stpcpy", "sprintf", "vsprintf", "strtok", "alloca",
    "atoi", "atol", "atoll", "atof", "system", "popen",
}  # fmt: skip
# Memory comes from the arena or a smelt_buf, which src/base implements.
BANNED_OUTSIDE_BASE = {"malloc", "calloc", "realloc", "free", "strdup", "strndup", "asprintf", "vasprintf", "reallocarray"}

TENSOR_NAMES = ("blk.", "layers.", ".weight")
TENSOR_NAMES_ALLOWED = ("src/arch/", "formats/")

# A word of the place where something was made says nothing to a reader. (Written so that this file holds none of them.) The
# first is also pytest's name for a scope and an object, in quotes or in code.
FOREIGN = [r"(?<![\"'(])\bsess[i]ons?\b(?!\.\w)", r"/wor[k]/", r"\bshare[d]/", r"\bissue [0-9]", r"pypi\.or[g]", r"pythonhoste[d]"]
# What these hold is somebody's text or bytes.
FOREIGN_SKIP = ("LICENSE", "tests/data/", "tests/fuzz/corpus/", "tests/invalid/")


def sources(root, folders, suffixes):
    """Paths, relative to root, of files with one of the suffixes."""
    for folder in folders:
        for where, dirs, files in os.walk(os.path.join(root, folder)):
            dirs.sort()
            for name in sorted(files):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(where, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<char>'(?:\\.|[^'\\\n])*')""", re.S
)


def blank(text, kinds):
    """The text with the tokens of these kinds blanked, line breaks kept."""

    def sub(m):
        if m.lastgroup not in kinds:
            return m.group()
        return re.sub(r"[^\n]", " ", m.group())

    return TOKEN.sub(sub, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def layer_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else parts[0]


def layers(root):
    """An include may only point to a layer below."""
    for path in sources(root, ["src", "formats", "quant", "tools"], (".c", ".h", ".def", ".inc")):
        if os.path.dirname(path) == "src":
            mine, allowed = "the public header", set()
        else:
            mine = layer_of(path)
            allowed = LAYERS.get(mine)
            if allowed is None:
                yield path, 1, f"folder '{mine}' is no layer: add it to LAYERS in tests/guards/guards.py"
                continue
        text = blank(read(root, path), {"comment"})
        for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', text, re.M):
            name = m.group(1)
            for base in (os.path.dirname(path), "src", ""):
                target = os.path.normpath(os.path.join(base, name))
                if os.path.exists(os.path.join(root, target)):
                    break
            else:
                yield path, line_of(text, m.start()), f'"{name}" is no file here (system headers are included with <>)'
                continue
            if target == "src/smelt.h":
                continue
            theirs = layer_of(target)
            if theirs != mine and theirs not in allowed:
                yield path, line_of(text, m.start()), f"{mine} includes {target}, which is not below it"


def banned(root):
    """No call that prints, ends the process, trusts a length, or allocates outside src/base."""
    for path in sources(root, ["src", "formats", "quant"], (".c", ".h", ".def", ".inc")):
        words = BANNED if path.startswith("src/base/") else BANNED | BANNED_OUTSIDE_BASE
        text = blank(read(root, path), {"comment", "string", "char"})
        for m in re.finditer(r"\b([A-Za-z_]\w*)\s*\(", text):
            if m.group(1) in words:
                yield path, line_of(text, m.start()), f"{m.group(1)}() is not for library code"


def names(root):
    """Names of tensors are known to src/arch and formats alone; everybody else sees roles."""
    for path in sources(root, ["src", "formats", "quant", "tools"], (".c", ".h", ".def", ".inc")):
        if path.startswith(TENSOR_NAMES_ALLOWED):
            continue
        text = read(root, path)
        for m in TOKEN.finditer(text):
            if m.lastgroup != "string":
                continue
            for name in TENSOR_NAMES:
                if name in m.group():
                    yield path, line_of(text, m.start()), f"a tensor's name in a string: {m.group()}"


def switches(root):
    """A decision by type, family or format is a column of its row, not a switch."""
    for path in sources(root, ["src", "formats", "quant", "tools"], (".c", ".h", ".inc")):
        text = blank(read(root, path), {"comment", "string", "char"})
        for m in re.finditer(r"\bcase\s+(SMELT_DT_\w+)", text):
            yield path, line_of(text, m.start()), f"case {m.group(1)}: a decision by type belongs into the type's row"
        for m in re.finditer(r"\bswitch\s*\(", text):
            depth, end = 1, m.end()
            while end < len(text) and depth:
                depth += {"(": 1, ")": -1}.get(text[end], 0)
                end += 1
            what = text[m.end() : end - 1]
            if re.search(r"(?<![a-z])(dtype|arch|family|format|fmt)(?![a-z])", what, re.I):
                yield path, line_of(text, m.start()), f"switch ({what.strip()}): look it up through the row"


def foreign(root):
    """Tracked files speak of the project alone."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True).stdout
        paths = [p for p in out.decode().split("\0") if p]
    except (OSError, subprocess.CalledProcessError):
        paths = []
    if not paths:  # a source archive, or no git here
        paths = list(sources(root, ["src", "formats", "quant", "tools", "tests", "docs", ".ci"], ("",)))
        paths += [p for p in os.listdir(root) if os.path.isfile(os.path.join(root, p))]
    words = [re.compile(w, re.I) for w in FOREIGN]
    for path in paths:
        full = os.path.join(root, path)
        if path.startswith(FOREIGN_SKIP) or not os.path.isfile(full):
            continue
        with open(full, "rb") as f:
            data = f.read()
        if b"\0" in data[:8192]:
            continue
        text = data.decode("utf-8", "replace")
        for word in words:
            for m in word.finditer(text):
                yield path, line_of(text, m.start()), f"'{m.group()}' says nothing about the project"


def globals_(root, archive):
    """No object of the library has mutable data. const tables of pointers (.data.rel.ro) are fine."""
    out = subprocess.run(["size", "-A", archive], capture_output=True, check=True, text=True).stdout
    member = archive
    for line in out.splitlines():
        m = re.match(r"(\S+)\s+(?:\(ex (.+)\))?:\s*$", line)
        if m:
            member = m.group(1)
            continue
        m = re.match(r"(\.\S+)\s+(\d+)\s", line)
        if not m or int(m.group(2)) == 0:
            continue
        section = m.group(1)
        if section.startswith(".data.rel.ro"):
            continue
        if re.match(r"\.(data|bss|tdata|tbss|sdata|sbss)(\.|$)", section):
            yield member, 1, f"{m.group(2)} bytes of mutable data in {section}"


# What the headers of quant/simd are compiled with. (For the one for NEON only tests/run's step aarch64 has a compiler.)
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]


def headers(root, cc, cxx, *flags):
    """Every header compiles alone, and the public one as C++ too (where there is a C++ compiler)."""
    strict = ["-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I" + os.path.join(root, "src"), "-I" + root]
    strict += ["-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", *flags]

    def alone(path, compiler, language):
        with tempfile.TemporaryDirectory() as tmp:
            main = os.path.join(tmp, "alone." + language[0])
            with open(main, "w", encoding="utf-8") as f:
                f.write(f'#include "{os.path.abspath(os.path.join(root, path))}"\nint alone;\n')
            run = subprocess.run([compiler, *language[1:], *strict, main], capture_output=True, text=True)
        return run.stderr.strip() if run.returncode else ""

    for path in sources(root, ["src", "formats", "quant", "tools"], (".h",)):
        if path.endswith("_neon.h"):
            continue
        instructions = [] if "/simd/" not in path else AVX512 if path.endswith("_avx512.h") else AVX2
        said = alone(path, cc, ("c", "-std=c17", *instructions))
        if said:
            yield path, 1, f"does not compile alone: {said}"
    if cxx:
        said = alone("src/smelt.h", cxx, ("cc", "-std=c++11"))
        if said:
            yield "src/smelt.h", 1, f"does not compile as C++: {said}"


def errors(root):
    """docs/errors.md tells of every status in smelt.h, with its number, exit code and meaning, in that order."""
    header = read(root, "src/smelt.h")
    want = re.findall(r'X\((\w+), (\d+), (\d+), "([^"]+)"\)', header)
    page = read(root, "docs/errors.md")
    got = re.findall(r"^\| `SMELT_(\w+)` \| (\d+) \| (\d+) \| ([^|]+) \|", page, re.M)
    if not want:
        yield "src/smelt.h", 1, "no list of statuses found"
    for row in want:
        if row not in got:
            yield "docs/errors.md", 1, "no row | `SMELT_%s` | %s | %s | %s |" % row
    for row in got:
        if row not in want:
            yield "docs/errors.md", 1, "smelt.h has no status SMELT_%s, %s, %s, '%s'" % row
    if sorted(want) == sorted(got) and want != got:
        yield "docs/errors.md", 1, "the order is not that of smelt.h"


RULES = {
    "layers": layers,
    "banned": banned,
    "names": names,
    "switches": switches,
    "foreign": foreign,
    "errors": errors,
    "globals": globals_,
    "headers": headers,
}


def main(argv):
    if len(argv) < 3 or argv[1] not in RULES:
        print(f"usage: guards.py {'|'.join(RULES)} ROOT [ARGUMENTS...]", file=sys.stderr)
        return 2
    found = list(RULES[argv[1]](argv[2], *argv[3:]))
    for path, line, text in found:
        print(f"{path}:{line}: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
