"""The general.* keys that `smelt convert` derives from a directory's name, model card and configuration equal the peer's."""
import json
import math
import os
import struct

from card_cases import CASES, line, peer_lines

NUMBERS = {4: ("UINT32", "<I"), 5: ("INT32", "<i"), 6: ("FLOAT32", "<f")}


def beside(source, case, root):
    """The checkpoint `source` under the case's name, with its card and configuration."""
    target = root / case["title"]
    target.mkdir(parents=True)
    for f in source.iterdir():
        if f.name not in ("README.md", "config.json", "generation_config.json"):
            os.link(f.resolve(), target / f.name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    (target / "config.json").write_text(json.dumps(config | (case["config"] or {})), encoding="utf-8")
    if case["generation"] is not None:
        (target / "generation_config.json").write_text(json.dumps(case["generation"]), encoding="utf-8")
    if case["readme"] is not None:
        (target / "README.md").write_bytes(case["readme"].encode())
    return target


def general_keys(data):
    """The keys behind general.architecture that begin with general."""
    pos = 24
    out = []

    def take(form):
        nonlocal pos
        value = struct.unpack_from(form, data, pos)[0]
        pos += struct.calcsize(form)
        return value

    def text():
        nonlocal pos
        n = take("<Q")
        pos += n
        return data[pos - n : pos].decode()

    while (key := text()).startswith("general."):
        kind = take("<I")
        if kind == 8:
            out.append((key, "STRING", text()))
        elif kind == 9:
            assert take("<I") == 8, key
            out.append((key, "ARRAY", [text() for _ in range(take("<Q"))]))
        else:
            out.append((key, NUMBERS[kind][0], take(NUMBERS[kind][1])))
    assert out[0] == ("general.architecture", "STRING", "llama")
    return out[1:]


def test_general_keys_equal_the_peers(smelt, workshop, tmp_path):
    import gguf

    checkpoint = workshop.checkpoint("Llama-GQA-Tied-2x64")
    got, jobs, total = [], [], 0
    for i, case in enumerate(CASES):
        source, target = beside(checkpoint, case, tmp_path / str(i)), tmp_path / f"{i}.gguf"
        done = smelt("convert", source, target)
        assert done.returncode == 0, done.stderr
        total = total or sum(math.prod(int(d) for d in t.shape) for t in gguf.GGUFReader(target).tensors)
        got.append([line(*k) for k in general_keys(target.read_bytes())])
        jobs.append((source, total))
    for case, ours, theirs in zip(CASES, got, peer_lines(jobs), strict=True):
        assert ours == theirs, case
