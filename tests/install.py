#!/usr/bin/env python3
"""Installs into a folder of its own and uses the library from there as a stranger would: through pkg-config and through CMake's
find_package, shared and static, and runs the installed command.

    install.py BUILD-DIR CC
"""

import os
import shlex
import subprocess
import sys
import tempfile

BUILD, CC = os.path.abspath(sys.argv[1]), sys.argv[2]
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")

PROGRAM = """
#include <smelt.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    smelt_model *model;
    smelt_err err = {0};
    if (argc != 2 || smelt_model_open(argv[1], &model, &err) != SMELT_OK) {
        printf("%s\\n", err.text);
        return 1;
    }
    printf("%s %s %zu\\n", smelt_model_format(model), smelt_model_family(model), smelt_model_count(model));
    smelt_model_close(model);
    return 0;
}
"""
EXPECTED = "hf_dir llama 20\n"
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(smelt REQUIRED)
foreach(kind shared static)
  add_executable(${kind} main.c)
  target_link_libraries(${kind} PRIVATE smelt::smelt_${kind})
endforeach()
"""


def call(*args, **options):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{shlex.join(args)}\nended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: expected {want!r}, got {got!r}")


def main():
    with tempfile.TemporaryDirectory(prefix="smelt install ") as tmp:
        prefix, user = os.path.join(tmp, "prefix"), os.path.join(tmp, "user")
        call("cmake", "--install", BUILD, "--prefix", prefix)
        os.mkdir(user)
        with open(os.path.join(user, "main.c"), "w", encoding="utf-8") as f:
            f.write(PROGRAM)
        with open(os.path.join(user, "CMakeLists.txt"), "w", encoding="utf-8") as f:
            f.write(PROJECT)
        headers = [os.path.join(where, f) for where, _, files in os.walk(os.path.join(prefix, "include")) for f in files]
        expect("installed headers", headers, [os.path.join(prefix, "include", "smelt.h")])

        pc = [where for where, _, files in os.walk(prefix) if "smelt.pc" in files]
        lib = os.path.dirname(pc[0])
        env = {**os.environ, "PKG_CONFIG_PATH": pc[0], "LD_LIBRARY_PATH": lib}
        expect("version", "smelt " + call("pkg-config", "--modversion", "smelt", env=env), call(os.path.join(prefix, "bin", "smelt"), "--version"))
        model = os.path.join(DATA, "tiny-llama")
        for kind in ("shared", "static"):
            flags = shlex.split(call("pkg-config", "--cflags", "--libs", *(["--static"] if kind == "static" else []), "smelt", env=env))
            if kind == "static":
                flags = [os.path.join(lib, "libsmelt.a") if f == "-lsmelt" else f for f in flags]
            program = os.path.join(user, "pc-" + kind)
            call(CC, os.path.join(user, "main.c"), "-o", program, *flags)
            expect("pkg-config, " + kind, call(program, model, env=env), EXPECTED)

        build = os.path.join(user, "build")
        call("cmake", "-S", user, "-B", build, "-G", "Ninja", f"-DCMAKE_C_COMPILER={CC}", f"-DCMAKE_PREFIX_PATH={prefix}")
        call("cmake", "--build", build)
        for kind in ("shared", "static"):
            expect("find_package, " + kind, call(os.path.join(build, kind), model), EXPECTED)


if __name__ == "__main__":
    main()
