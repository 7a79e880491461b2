"""Prompts of chats beside transformers' apply_chat_template, for the templates that llama.cpp's sources carry and a few that models
of our families have: each is the same text, or refused. The token that begins a text is the tokenizer's business and left out."""
import re

import pytest

from conftest import LLAMA_CPP, run

# Written here as the models have them.
OTHERS = {
    "HuggingFaceTB/SmolLM2-135M-Instruct":
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "Qwen/Qwen2-0.5B-Instruct":
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n"
        "You are a helpful assistant.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] +"
        " '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "HuggingFaceH4/zephyr-7b-beta":
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "meta-llama/Llama-2-7b-chat-hf":
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
        "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' +"
        " message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "01-ai/Yi-6B-Chat":
        "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}"
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "nothing that is known": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
}
KNOWN = [*(n for n in OTHERS if "/" in n), "Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct",
         "meta-llama-Llama-3.2-3B-Instruct", "meta-llama-Llama-3.3-70B-Instruct", "openai-gpt-oss-120b", "microsoft-Phi-3.5-mini-instruct",
         "mistralai-Mistral-Nemo-Instruct-2407", "teknium/OpenHermes-2.5-Mistral-7B", "bofenghuang/vigogne-2-70b-chat", "Llama-3",
         "Phi-3-mini", "Phi-3-small", "Phi-3-medium", "phi-4", "mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)",
         "mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1' template with a system prompt)",
         "Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)",
         "mistralai/Mistral-Large-Instruct-2411 (mistralai 'v7' template)"]
MESSAGES = [("Hi", None), ("Hi", "Be brief."), ("  What is\n2 + 2? \n", "  Count.\n")]


def templates() -> dict:
    out = dict(OTHERS)
    out.update((p.stem, p.read_text()) for p in sorted((LLAMA_CPP / "models/templates").glob("*.jinja")))
    source = (LLAMA_CPP / "tests/test-chat-template.cpp").read_text()
    escape = {"n": "\n", "t": "\t"}
    for name, text in re.findall(r'/\* \.name= \*/ "([^"]*)",\s*/\* \.template_str=? ?\*/ "((?:[^"\\]|\\.)*)"', source):
        out[name] = re.sub(r"\\(.)", lambda m: escape.get(m[1], m[1]), text)
    return out


TEMPLATES = templates() if LLAMA_CPP.exists() else OTHERS


@pytest.fixture(scope="module")
def theirs():
    """transformers' prompt; None where the template refuses."""
    import jinja2
    import tokenizers
    import transformers
    tok = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(tokenizers.models.BPE()), bos_token="<s>",
                                               eos_token="</s>")

    def call(template, text, system):
        messages = [{"role": "system", "content": system}] * (system is not None) + [{"role": "user", "content": text}]
        try:
            out = tok.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
        except jinja2.exceptions.TemplateError:
            return None
        except (TypeError, ValueError):  # a template that needs more than messages
            return None
        return out.removeprefix("<s>")
    return call


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_is_transformers_or_refused(build, theirs, tmp_path, name):
    (tmp_path / "template").write_text(TEMPLATES[name])
    for text, system in MESSAGES:
        done = run(build / "tests/chat_cli", tmp_path / "template", text, *([system] if system is not None else []))
        want = theirs(TEMPLATES[name], text, system)
        assert done.returncode in (0, 3)
        if done.returncode == 0:
            assert done.stdout == want
        # A system message that a template refuses, or leaves out, is refused.
        elif name in KNOWN:
            assert system is not None and (want is None or system.strip() not in want), done.stderr


def test_all_known_ones_are_there():
    assert set(KNOWN) <= set(TEMPLATES)
