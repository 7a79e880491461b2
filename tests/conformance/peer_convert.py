#!/usr/bin/env python3
"""Runs llama.cpp's converter over many checkpoints in one process, each conversion in a forked child.

    peer_convert.py LLAMA_CPP_DIR < jobs.json

jobs.json is a list of {"src": DIR, "dst": FILE, "outtype": TYPE, "pre": NAME or null, "args": [..],
"raw": true to read config.json as it is and not as transformers spells it today}. For
each job one line of JSON goes to stdout: {"dst", "ok", "log"}. A `pre` stands in for the converter's own recognition of the tokenizer, which works
by a hash that no freshly trained vocabulary can have; everything else is the converter as it is.
"""
import contextlib
import io
import json
import logging
import multiprocessing
import os
import runpy
import sys
import traceback

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def convert(job: dict) -> dict:
    log = io.StringIO()
    logging.basicConfig(stream=log, level=logging.INFO, force=True)
    sys.argv = ["convert_hf_to_gguf.py", job["src"], "--outfile", job["dst"] + ".part", "--outtype", job["outtype"],
                *job.get("args", [])]
    if job.get("pre"):
        from conversion.base import TextModel
        TextModel.get_vocab_base_pre = lambda self, tokenizer, name=job["pre"]: name
    if job.get("raw"):
        from conversion.base import ModelBase
        with open(os.path.join(job["src"], "config.json"), encoding="utf-8") as f:
            raw = json.load(f)
        ModelBase.load_hparams = staticmethod(lambda *_args, **_more: dict(raw))
    ok = False
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            runpy.run_path(os.path.join(PEER, "convert_hf_to_gguf.py"), run_name="__main__")
        ok = True
    except SystemExit as e:
        ok = not e.code
    except BaseException:
        log.write(traceback.format_exc())
    if ok and os.path.exists(job["dst"] + ".part"):
        os.replace(job["dst"] + ".part", job["dst"])
    elif os.path.exists(job["dst"] + ".part"):
        os.unlink(job["dst"] + ".part")
    return {"dst": job["dst"], "ok": ok, "log": log.getvalue()[-6000:]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PEER = sys.argv[1]
    jobs = json.load(sys.stdin)
    sys.path.insert(0, PEER)
    sys.path.insert(0, os.path.join(PEER, "gguf-py"))
    import torch
    import transformers  # noqa: F401  imported once, before the children are forked
    import conversion.llama  # noqa: F401
    torch.set_num_threads(1)
    with multiprocessing.get_context("fork").Pool(min(2, os.cpu_count() or 1), maxtasksperchild=1) as pool:
        for done in pool.imap(convert, jobs, chunksize=1):
            print(json.dumps(done), flush=True)
