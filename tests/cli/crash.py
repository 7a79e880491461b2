#!/usr/bin/env python3
"""Runs that are stopped midway: by signals, by a full disk, by a place that cannot be written. Nothing may be under the target's
name afterwards, and `--resume` must end with the bytes of an undisturbed run.

    crash.py SMELT
"""

import array
import itertools
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import run

SMELT = os.path.abspath(sys.argv[1])
ENV = run.environment(SMELT)
TINY = os.path.join(ENV["DATA"], "tiny-llama")
MATRICES = 48
checks = failures = 0


def check(ok, what):
    global checks, failures
    checks += 1
    if not ok:
        failures += 1
        print("FAILED: " + what)


def smelt(*args, **options):
    return subprocess.run([SMELT, *args], env=ENV, capture_output=True, text=True, timeout=120, **options)


def content(path):
    with open(path, "rb") as f:
        return f.read()


def make_source(path, matrices):
    """A GGUF file of float32 matrices, 4 MiB each, no two the same."""
    rows, cols = 1024, 1024
    random.seed(1)
    base = array.array("f", (random.uniform(-1, 1) for _ in range(1 << 16)))

    def text(t):
        return struct.pack("<Q", len(t)) + t.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, matrices, 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("synthetic")
    for i in range(matrices):
        head += text(f"blk.{i}.ffn_up.weight") + struct.pack("<IQQIQ", 2, cols, rows, 0, i * 4 * rows * cols)
    head += b"\0" * (-len(head) % 32)
    with open(path, "wb") as f:
        f.write(head)
        for i in range(matrices):
            f.write((base[i:] + base[:i]).tobytes() * 16)


def tensors_of(manifest):
    with open(manifest, encoding="utf-8") as f:
        return [(t["name"], t["xxh3_128"]) for t in json.load(f)["tensors"]]


def stopped_by(sig, source, reference, work):
    """Sends the signal once some units are journalled, looks, resumes."""
    name = signal.Signals(sig).name
    target, manifest = os.path.join(work, "out.gguf"), os.path.join(work, "out.json")
    journal = os.path.join(work, ".out.gguf.smelt-journal")
    for _ in range(20):
        process = subprocess.Popen(
            [SMELT, "quantize", source, target, "Q4_0", "--threads", "1", "--manifest", manifest], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        while process.poll() is None:
            try:
                if os.path.getsize(journal) >= 100:
                    process.send_signal(sig)
                    break
            except OSError:
                pass
            time.sleep(0.0002)
        process.communicate(timeout=120)
        if process.returncode:
            break
        os.remove(target)  # it was faster than we were
    check(process.returncode == -sig, f"{name}: the run ended with {process.returncode}")
    check(not os.path.exists(target), f"{name}: something is under the target's name")
    check(not os.path.exists(manifest), f"{name}: there is a manifest of nothing")
    check(os.path.exists(journal), f"{name}: nothing to go on with")
    # Another type is another run: it must not take what is there, nor destroy it.
    other = smelt("quantize", source, target, "Q8_0", "--resume")
    check(other.returncode == 3 and not os.path.exists(target), f"{name}: another run's work was taken: {other.returncode} {other.stderr}")
    again = smelt("quantize", source, target, "Q4_0", "--resume", "--manifest", manifest)
    check(again.returncode == 0, f"{name}: --resume ended with {again.returncode}: {again.stderr}")
    check("found finished" in again.stdout, f"{name}: --resume did everything again: {again.stdout}")
    check(os.path.exists(target) and content(target) == content(reference), f"{name}: --resume gave other bytes")
    check(tensors_of(manifest) == tensors_of(reference + ".json"), f"{name}: --resume gave another manifest")
    check(sorted(os.listdir(work)) == ["out.gguf", "out.json"], f"{name}: left behind: {os.listdir(work)}")


def write_imatrix(path, matrices, seed):
    """The legacy form: entries of name, calls, values; the chunks; the data set's name."""
    random.seed(seed)
    with open(path, "wb") as f:
        f.write(struct.pack("<i", matrices))
        for i in range(matrices):
            name = f"blk.{i}.ffn_up.weight".encode()
            f.write(struct.pack("<i", len(name)) + name + struct.pack("<ii1024f", 1, 1024, *(random.random() for _ in range(1024))))
        f.write(struct.pack("<ii", 1, 4) + b"text")


def another_matrix(source, work):
    """An interrupted run is not gone on with under another importance matrix, were it in a file of the same name."""
    target, matrix = os.path.join(work, "out.gguf"), os.path.join(work, "matrix.dat")
    journal, reference = os.path.join(work, ".out.gguf.smelt-journal"), os.path.join(work, "reference.gguf")
    command = ["quantize", source, target, "Q4_0", "--threads", "1", "--imatrix", matrix]
    write_imatrix(matrix, MATRICES, 1)
    for attempt in itertools.count():
        process = subprocess.Popen([SMELT, *command], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) >= 100):
            time.sleep(0.0002)
        process.kill()
        if process.wait(timeout=120) or attempt == 20:
            break
    write_imatrix(matrix, MATRICES, 2)
    done = smelt(*command, "--resume")
    check(done.returncode == 3 and not os.path.exists(target), f"another matrix: {done.returncode} {done.stderr}")
    write_imatrix(matrix, MATRICES, 1)
    done = smelt(*command, "--resume")
    check(done.returncode == 0 and "found finished" in done.stdout, f"the same matrix: {done.returncode} {done.stderr}")
    command[2] = reference
    check(smelt(*command).returncode == 0 and content(reference) == content(target), "the same matrix: other bytes")


def full_disk(work):
    """A limit on the size of files is what a full disk is to a program, and needs no rights."""
    reference, target = os.path.join(work, "reference.gguf"), os.path.join(work, "out.gguf")
    check(smelt("convert", TINY, reference).returncode == 0, "no reference")

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))

    done = smelt("convert", TINY, target, preexec_fn=small, restore_signals=False)
    check(done.returncode == 4 and done.stderr.startswith("smelt: "), f"full: {done.returncode} {done.stderr}")
    check(not os.path.exists(target), "full: something is under the target's name")
    done = smelt("convert", TINY, target, "--resume")
    check(done.returncode == 0 and content(target) == content(reference), f"full, then resumed: {done.returncode} {done.stderr}")

    # An existing target stays as it was.
    with open(target, "wb") as f:
        f.write(b"old")
    done = smelt("convert", TINY, target, preexec_fn=small, restore_signals=False)
    check(done.returncode == 4 and content(target) == b"old", "full: the old target is gone")

    # A real one, where a user may have a mount namespace of their own.
    mount = "mount -t tmpfs -o size=64k none . 2>/dev/null || exit 77; "
    script = mount + '"$0" convert "$1" out.gguf; echo "code $?"; ls -A | grep -v smelt-'
    place = os.path.join(work, "tmpfs")
    os.mkdir(place)
    # The shell enters the folder again, so that it stands in the mounted one.
    script = script.replace("; ", '; cd "$PWD"; ', 1)
    if shutil.which("unshare"):
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, SMELT, TINY], cwd=place, env=ENV, capture_output=True, text=True)
        if "code" in done.stdout:
            check(done.stdout == "code 4\n" and "No space left" in done.stderr, f"full tmpfs: {done.stdout} {done.stderr}")
        else:
            print("a small tmpfs cannot be mounted here: left out")


def no_place(work):
    for target, why in (
        ("missing/out.gguf", "No such file"),
        ("/proc/out.gguf", ""),
        ("/dev/null/out.gguf", "Not a directory"),
    ):
        done = smelt("convert", TINY, target, cwd=work)
        check(done.returncode == 4 and why in done.stderr, f"{target}: {done.returncode} {done.stderr}")
    if os.getuid():
        os.mkdir(os.path.join(work, "closed"), 0o500)
        done = smelt("convert", TINY, "closed/out.gguf", cwd=work)
        check(done.returncode == 4 and "Permission denied" in done.stderr, f"closed: {done.returncode} {done.stderr}")
    os.mkdir(os.path.join(work, "full"))
    with open(os.path.join(work, "full", "mine"), "wb"):
        pass
    done = smelt("convert", TINY, "full/", cwd=work)
    check(done.returncode == 2 and os.listdir(os.path.join(work, "full")) == ["mine"], f"full/: {done.returncode} {done.stderr}")


def main():
    with tempfile.TemporaryDirectory(prefix="smelt-crash-") as tmp:
        source, reference = os.path.join(tmp, "source.gguf"), os.path.join(tmp, "reference.gguf")
        make_source(source, MATRICES)
        done = smelt("quantize", source, reference, "Q4_0", "--manifest", reference + ".json")
        check(done.returncode == 0, f"undisturbed: {done.returncode} {done.stderr}")
        scenarios = [(lambda work, sig=sig: stopped_by(sig, source, reference, work)) for sig in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)]
        for scenario in scenarios + [lambda work: another_matrix(source, work), full_disk, no_place]:
            with tempfile.TemporaryDirectory(dir=tmp) as work:
                scenario(work)
    print(f"{checks} checks, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
