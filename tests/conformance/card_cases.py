"""Directory names and model cards, and the general.* keys that llama.cpp's converter derives from them.

`python card_cases.py` writes tests/unit/hf_card_cases.inc, the literals that the unit test compares with; it needs the peer's
Python. test_card.py uses the same cases for the command.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PEERS = Path(os.environ.get("SMELT_PEERS", Path.home() / ".cache/smelt-peers"))

B, M = 10**9, 10**6


def case(title, total, readme=None, config=None, generation=None):
    return {"title": title, "total": total, "readme": readme, "config": config, "generation": generation}


def card(text):
    return f"---\n{text}---\n# A model\n"


NAMES = [
    ("Llama-2-7b-chat-hf", 6738415616), ("Meta-Llama-3.1-8B-Instruct", 8030261248), ("Llama-3.2-1B", 1235814400),
    ("Mistral-7B-v0.1", 7241732096), ("Mistral-7B-Instruct-v0.3", 7248023552), ("Mistral-Nemo-Instruct-2407", 12247782400),
    ("TinyLlama-1.1B-Chat-v1.0", 1100048384), ("TinyLlama-1.1B-intermediate-step-1431k-3T", 1100048384),
    ("Yi-34B", 34388917248), ("Yi-1.5-9B-Chat-16K", 8829407232), ("Yi-34B-200K", 34388917248), ("Yi-6B-Chat", 6061035520),
    ("open_llama_3b_v2", 3426473600), ("open_llama_7b", 6738415616), ("SmolLM2-135M-Instruct", 134515008),
    ("SmolLM2-1.7B", 1711376384), ("SmolLM-360M", 361821120), ("smollm2", 134515008), ("model", 134515008), ("llama", 5),
    ("mixtral-8x7b", 46702792704), ("Mixtral-8x22B-Instruct-v0.1", 140630071296), ("Qwen2-57B-A14B-Instruct", 57409011712),
    ("Qwen2.5-0.5B-Instruct", 494032768), ("Phi-3-mini-4k-instruct", 3821079552), ("Phi-3-medium-128k-instruct", 13960238080),
    ("phi-2", 2779683840), ("gpt-neox-20b", 20554567680), ("gpt-oss-20b", 20914757184), ("bloom-7b1", 7069016064),
    ("bloomz-1b7", 1722408960), ("falcon-rw-1b", 1311625216), ("falcon-40b-instruct", 41839374336), ("mpt-7b-8k", 6649286656),
    ("vicuna-13b-v1.5-16k", 13015864320), ("CodeLlama-34b-Python-hf", 33743970304), ("WizardLM-2-8x22B", 140630071296),
    ("deepseek-llm-7b-base", 6910365696), ("stablelm-2-1_6b", 1644515328), ("Nous-Hermes-2-Mixtral-8x7B-DPO", 46702792704),
    ("Llama-3-8B-Instruct-262k-v2", 8030261248), ("Llama-3-8B-8B", 8030261248), ("tiny-small", 3 * M), ("gpt2-xl", 1557611200),
    ("gpt2-small-7b", 6738415616), ("t5-large-lora", 770 * M), ("model-iter3", 12345), ("iter-v2.0.1", 999), ("v1", 1000),
    ("v1.0-beta-2", 999999), ("q4_0-model", 10**6), ("Model-Q4_K_M", 10**6), ("Model-7B-fp16", 7 * B), ("model-bf16-7b", 7 * B),
    ("123", 123456), ("1-2-3", 1234567), ("7b", 7 * B), ("7B-7B", 7 * B), ("----", 134515008), ("-", 500), ("a-", 9999), ("-b", 10000),
    ("x--y---7b", 7 * B), ("Kosmos-3.5K", 3500), ("model-1.5T", 1500 * B), ("model-100b-chat", 7 * B), ("model-1B-chat", 7 * B),
    ("model-0.9B", 7 * B), ("model-0.8B", 7 * B), ("model-13.1B", 7 * B), ("model-13.2B", 7 * B), ("big", 2 * 10**12), ("big2", 10**12),
    ("round", 9499999), ("round", 9500000), ("round", 9999999), ("round", 99500000), ("round", 999), ("round", 1), ("round", 500),
    ("round", 999500000), ("round", 1000000), ("round", 1000001), ("round", 1005 * M), ("round", 12500), ("round", 13500),
    ("My Fine Model 7b", 7 * B), ("my fine-tuned model", 7 * B), (" lead and trail ", 7 * B), ("модель-7b", 7 * B),
    ("éclair-été-7b-чат", 7 * B), ("模型-7b-聊天", 7 * B), ("o'neil's_model", 7 * B), ("nbsp\u00a0word-7b", 7 * B), ("Ünïcode", 3), ("🙂-7b", 7 * B),
    ("model-٣", 7 * B), ("²-model-7b", 7 * B), ("model.v2", 7 * B), ("llama2b-x9y", 7 * B), ("dot.name-7b", 7 * B), ("instruct", 7 * B),
    ("chat-7b", 7 * B), ("A7B", 7 * B), ("Model-CHAT-XL", 7 * B), ("model-mini-medium", 7 * B), ("a-1b-2b-1b", 1 * B), ("x-7b-1-2", 7 * B),
    ("x-1-7b-2-chat-3", 7 * B), ("rc1-3", 7 * B), ("_-7b", 7 * B), ("x_7b", 7 * B), ("7b1-7b1", 7 * B), ("x-1_5b2", 2 * B), ("x-8x7b1", 7 * B), ("x-0.002K", 15), ("x-0.001K", 15),
]

CASES = [case(*name) for name in NAMES] + [
    case("Model-7B", 0), case("Model-7B-128k", 0), case("plain", 0),
    # _name_or_path
    case("dir-7b", 7 * B, config={"_name_or_path": "meta-llama/Llama-2-7b-hf"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "Llama-2-7b-hf"}),
    case("dir-7b-chat-v9", 7 * B, config={"_name_or_path": "org/plain"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "/home/me/models/Llama-2-7b"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "./Llama-2-7b"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "../Llama-2-7b"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "/Llama-2-7b"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "org/"}),
    case("dir-7b", 7 * B, config={"_name_or_path": "a model with words/x"}),
    case("dir-7b", 7 * B, config={"_name_or_path": ""}),
    case("dir-7b", 7 * B, config={"_name_or_path": None}),
    # generation_config.json
    case("m", 10, generation={"temperature": 0.6, "top_p": 0.9, "do_sample": True}),
    case("m", 10, generation={"temperature": 1, "top_k": 50, "repetition_penalty": 1.05, "top_p": None, "min_p": 0.05}),
    case("m", 10, generation={"repetition_penalty": 1.5, "penalty_repeat": 1.25, "penalty_last_n": -1, "mirostat": True}),
    case("m", 10, generation={"penalty_repeat": None, "repetition_penalty": 1.5, "sequence": "top_k;temp", "xtc_probability": 0.1,
                              "xtc_threshold": 0.2, "mirostat": 2, "mirostat_tau": 5, "mirostat_eta": 1e-1, "top_k": 0}),
    case("m", 10, generation={"sequence": ""}),
    case("m", 10, generation={}),
    # model cards
    case("m-7b", 7 * B, card("license: apache-2.0\nlanguage:\n- en\n- fr\ntags: [llama, pytorch]\npipeline_tag: text-generation\n")),
    case("m-7b", 7 * B, card("license: other\nlicense_name: llama3\nlicense_link: LICENSE\nlibrary_name: transformers\n")),
    case("m-7b", 7 * B, card("license:\n- mit\n- apache-2.0\n")),
    case("m-7b", 7 * B, card("base_model: meta-llama/Llama-2-7b-hf\ndatasets:\n- HuggingFaceH4/ultrachat_200k\n- imdb\n")),
    case("m-7b", 7 * B, card("base_model:\n- mistralai/Mistral-7B-v0.1\n- https://huggingface.co/org/Some-13B-v2.0\n"
                             "- https://example.com/x/y\n- a name with spaces\n- ./local-model\n- ssh://host/repo\n")),
    case("m-7b", 7 * B, card("base_model:\n- https://huggingface.co/a/b/c\n- https://huggingface.co/a/\n- http://huggingface.co/org/x-v1\n"
                             "- http://huggingface.co/org\n- a/b/c-v1\n- /x\n- ''\n")),
    case("m-7b", 7 * B, card("base_model:\n- name: A base\n  organization: Org\n  version: v1\n  repo_url: https://x\n  extra: [1, 2]\n"
                             "  author: Me\n  description: D\n  url: U\n  doi: '10.1/2'\n  uuid: abc\n- 5\n- null\n- [x]\n- {}\n")),
    case("m-7b", 7 * B, card("base_model: []\ndatasets: null\n")),
    case("m-7b", 7 * B, card("base_model: null\nbase_models: org/x\n")),
    case("m-7b", 7 * B, card("base_models: org/x\ndataset: d\n")),
    case("m-7b", 7 * B, card("base_model_sources: org/x-7b-v3\ndataset_sources: [https://huggingface.co/datasets/abc]\n")),
    case("m-7b", 7 * B, card("base_model: 5\ndatasets: {a: b}\n")),
    case("m-7b", 7 * B, card("name: The Name\nauthor: Somebody\nversion: v9\norganization: Org\ndescription: |\n  Two\n  lines\n"
                             "finetune: chatty\nbasename: Base\nsize_label: 9B\nurl: http://a\ndoi: b\nuuid: c\nrepo_url: d\n")),
    case("m-7b", 7 * B, card("model_name: The Name\nmodel_creator: Somebody\nmodel_type: llama\nmodel_version: 'v1'\n")),
    case("m-7b", 7 * B, card("model_author: A\nmodel_creator: B\nmodel_organization: O\nmodel_description: D\nmodel_finetune: F\n"
                             "model_basename: X\nmodel_type: llama\nmodel_size_label: S\nmodel_url: u\nmodel_doi: d\nmodel_uuid: i\n"
                             "model_repo_url: r\nname: null\nmodel_name: N\n")),
    case("m-7b", 7 * B, card("name: ''\nmodel_name: N\nversion: false\nauthor: 0\norganization: []\nbasename: {}\nfinetune: 0.0\n")),
    case("m-7b", 7 * B, card("name: ~\nversion:\nauthor: Null\n")),
    case("m-7b", 7 * B, card("name: first\nname: second\n")),
    case("m-7b", 7 * B, card('name: "quoted \\u00e9 \\n x"\nauthor: \'it\'\'s\'\ndescription: >-\n  folded\n  text\n')),
    case("m-7b", 7 * B, card("language:\n- no\n- en\n")),
    case("m-7b", 7 * B, card("language: no\n")),
    case("m-7b", 7 * B, card("languages: de\nlanguage: [en]\ntags: one\n")),
    case("m-7b", 7 * B, card("tags:\n\t- a\n\t- b\n")),
    case("m-7b", 7 * B, card("tags: []\nlanguage: ''\n")),
    case("m-7b", 7 * B, card("tags:\n- 'yes'\n- \"1\"\n- !!str 5\n- ''\n- a b\n- ünï\n")),
    case("m-7b", 7 * B, card("tags: &t [a]\nwidget:\n- text: x\n  more: {y: [z, {w: 1}]}\nmodel-index:\n- name: q\n  results: []\nlicense: mit\n")),
    case("m-7b", 7 * B, card("tags:\n- a # comment\n# another\n- 'b'\n- \"c\"\n")),
    case("m-7b", 7 * B, card("license: mit\n").replace("\n", "\r\n")),
    case("m-7b", 7 * B, "---\nlicense: mit\n"),
    case("m-7b", 7 * B, "---\n---\n# x\n"),
    case("m-7b", 7 * B, "--- \nlicense: mit\n---\n"),
    case("m-7b", 7 * B, "\ufeff---\nlicense: mit\n---\n"),
    case("m-7b", 7 * B, "\n---\nlicense: mit\n---\n"),
    case("m-7b", 7 * B, "# Title\nno front matter\n"),
    case("m-7b", 7 * B, ""),
    case("m-7b", 7 * B, "---\n- a\n- b\n---\n"),
    case("m-7b", 7 * B, "---\njust text\n---\n"),
    case("m-7b", 7 * B, "---\nlicense: mit\x0bname: x\u2028author: y\n---\n"),
    case("m-7b", 7 * B, card("{license: mit, tags: [a, b]}\n")),
    case("m-7b", 7 * B, card("datasets:\n- name: d\n  version: v2\n- org/set-v1.5\n- https://huggingface.co/org/set\n- multi word\n")),
    case("Real-8B", 8030261248, card(
        "language:\n- en\n- de\npipeline_tag: text-generation\ntags:\n- facebook\n- meta\nlicense: llama3.1\nextra_gated_prompt: >-\n"
        "  ### LICENSE\n\n  text: with [brackets] and {braces}\nextra_gated_fields:\n  First Name: text\n  Date of birth: date_picker\n"
        "  geo: ip_location\nbase_model: meta-llama/Meta-Llama-3.1-8B\nbase_model_relation: finetune\n"),
        {"_name_or_path": "x/y/z"}, {"temperature": 0.6, "top_p": 0.9}),
]


def materialise(case, root):
    path = Path(root) / case["title"]
    path.mkdir(parents=True)
    if case["readme"] is not None:
        (path / "README.md").write_bytes(case["readme"].encode())
    for key, name in (("config", "config.json"), ("generation", "generation_config.json")):
        if case[key] is not None:
            (path / name).write_text(json.dumps(case[key]), encoding="utf-8")
    return path


def peer_keys(path, total):
    """[(key, type, value)] as the converter's prepare_metadata adds them, general.type to general.languages."""
    import gguf

    writer = gguf.GGUFWriter(path=None, arch="llama")
    metadata = gguf.Metadata.load(None, path, None, total)
    if metadata.name is None:
        metadata.name = path.name
    if metadata.size_label is None and total > 0:
        metadata.size_label = gguf.size_label(total, total, 0, 0)
    writer.add_type(gguf.GGUFType.MODEL)
    metadata.set_gguf_meta_model(writer)
    out = []
    for key, value in writer.kv_data[0].items():
        if key == "general.architecture":
            continue
        writer._pack_val(value.value, value.type, add_vtype=True)  # what cannot be written is no expectation
        out.append((key, value.type.name, value.value))
    return out


def peer_lines(jobs):
    """[[line]] for [(directory, total)]: in a process of its own, since the converter uses the gguf of its own tree."""
    call = [sys.executable, "-B", __file__, "--keys"]
    done = subprocess.run(call, input=json.dumps([(str(p), n) for p, n in jobs]), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def line(key, kind, value):
    """One key as the unit test prints it."""
    if kind == "FLOAT32":
        import numpy

        return f"{key} F32 {float(numpy.float32(value)):.9g}"
    if kind in ("INT32", "UINT32"):
        return f"{key} {kind[0]}32 {int(value)}"
    return f"{key} {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"


def literal(text):
    if text is None:
        return "NULL"
    out = "".join({"\n": "\\n", '"': '\\"', "\\": "\\\\", "\t": "\\t", "\r": "\\r", "\x0b": "\\v"}.get(c, c) for c in text)
    return '"' + out.replace("\u2028", "\\xE2\\x80\\xA8\"\"").replace("\ufeff", "\\xEF\\xBB\\xBF\"\"").replace("\u00a0", "\\xC2\\xA0\"\"") + '"'


def main():
    sys.path.insert(0, str(PEERS / "llama.cpp/gguf-py"))
    if sys.argv[1:] == ["--keys"]:
        json.dump([[line(*k) for k in peer_keys(Path(p), n)] for p, n in json.load(sys.stdin)], sys.stdout)
        return
    target = Path(__file__).parents[1] / "unit/hf_card_cases.inc"
    rows = []
    for c in CASES:
        with tempfile.TemporaryDirectory() as root:
            keys = [line(*k) for k in peer_keys(materialise(c, root), c["total"])]
        fields = [literal(c["title"]), f'{c["total"]}U', literal(c["readme"])]
        fields += [literal(None if c[k] is None else json.dumps(c[k])) for k in ("config", "generation")]
        text = "\n     ".join(literal(k + "\n") for k in keys)
        rows.append("    {" + ", ".join(fields) + ",\n     " + text + "},\n")
    with open(target, "w", encoding="utf-8") as f:
        f.write("/* Made by tests/conformance/card_cases.py from what llama.cpp's converter derives; do not edit. */\n/* clang-format off */\n")
        f.write("".join(rows))


if __name__ == "__main__":
    main()
