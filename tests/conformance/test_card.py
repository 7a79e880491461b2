"""The general.* keys that `smelt convert` derives from a directory's name, model card and configuration equal the peer's."""
import json
import math
import os

import pytest
from card_cases import CASES, line, peer_keys


def beside(source, case, root):
    """The checkpoint `source` under the case's name, with its card and configuration."""
    target = root / case["title"]
    target.mkdir()
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


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c['title']}" for i, c in enumerate(CASES)])
def test_general_keys_equal_the_peers(smelt, workshop, tmp_path, case):
    import gguf

    source = beside(workshop.checkpoint("Llama-GQA-Tied-2x64"), case, tmp_path)
    done = smelt("convert", source, tmp_path / "out.gguf")
    assert done.returncode == 0, done.stderr
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    total = sum(math.prod(int(d) for d in t.shape) for t in reader.tensors)
    got = [(f.name, f.types[0].name, f.contents()) for f in reader.fields.values()
           if f.name.startswith("general.") and f.name not in ("general.architecture", "general.file_type", "general.quantization_version")]
    assert [line(*k) for k in got] == [line(*k) for k in peer_keys(source, total)]
