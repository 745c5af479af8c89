"""Renders conversations with Jinja2 3.1.6, set up as transformers' apply_chat_template sets it up, into prompts.json.

Usage: python render_prompts.py <folder of this file> <folder of llama.cpp's models/templates>
The templates of Llama stay in llama.cpp: their licence is not ours to pass on. The test looks for them there.
"""
import json, sys
from pathlib import Path
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

here, theirs = Path(sys.argv[1]), Path(sys.argv[2])


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    def raise_exception(message):
        raise ValueError(message)
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


TOOLS = [
    {"type": "function", "function": {"name": "calculator", "description": "Computes \"exactly\", e.g. 3 < 4 & 5's.",
     "parameters": {"type": "object", "properties": {"expression": {"type": "string", "description": "Größe, 12×3"}}, "required": ["expression"]}}},
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}},
]
call = lambda id, name, arguments: {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
CONVERSATIONS = {
    "question": [{"role": "user", "content": "What is 48/2?"}],
    "system": [{"role": "system", "content": "Be brief.\nÜbe 'quotes' \"too\"."}, {"role": "user", "content": "  Hi {{ there }} <b>&\n"}],
    "several": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "And 2+2?"}],
    "call": [{"role": "user", "content": "48/2?"}, {"role": "assistant", "content": "", "tool_calls": [call("1", "calculator", {"expression": "48/2", "digits": 3, "exact": True, "unit": None, "list": [1, 2.5, "a\"b"]})]},
             {"role": "tool", "content": "24"}],
    "answer": [{"role": "user", "content": "48/2?"}, {"role": "assistant", "content": "", "tool_calls": [call("1", "calculator", {"expression": "48/2"})]},
               {"role": "tool", "content": "24 \"ü\""}, {"role": "assistant", "content": "24"}, {"role": "user", "content": "Thanks"}],
    "calls": [{"role": "user", "content": "Time and 1+1?"}, {"role": "assistant", "content": "Let me see.", "tool_calls": [call("1", "now", {}), call("2", "calculator", {"expression": "1+1"})]},
              {"role": "tool", "content": "12:00"}, {"role": "tool", "content": "2"}],
    "thought": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"}, {"role": "user", "content": "c?"}],
}
TEMPLATES = {"qwen2.5-instruct.jinja": here, "qwen3.jinja": here, "smollm2-instruct.jinja": here,
             "meta-llama-Llama-3.1-8B-Instruct.jinja": theirs, "meta-llama-Llama-3.2-3B-Instruct.jinja": theirs, "meta-llama-Llama-3.3-70B-Instruct.jinja": theirs}
prompts = []
for name, folder in TEMPLATES.items():
    template = environment().from_string((folder / name).read_text())
    for conversation, messages in CONVERSATIONS.items():
        for with_tools in (False, True):
            if name.startswith("smollm2") and (with_tools or any("tool_calls" in m for m in messages)):
                continue  # its template knows no tools
            if name.startswith("meta-llama") and conversation == "calls":
                # the template refuses two calls in a message: each stands in its own, with its result
                user, assistant, first, second = messages
                one, two = assistant["tool_calls"]
                rendered = [user, {**assistant, "tool_calls": [one]}, first, {**assistant, "tool_calls": [two]}, second]
            else:
                rendered = messages
            prompt = template.render(messages=rendered, tools=TOOLS if with_tools else None, documents=None, add_generation_prompt=True,
                                     bos_token="<BOS>", eos_token="<EOS>")
            prompts.append({"template": name, "conversation": conversation, "tools": with_tools, "prompt": prompt})
(here / "prompts.json").write_text(json.dumps({"tools": TOOLS, "conversations": CONVERSATIONS, "prompts": prompts}, ensure_ascii=False, indent=1) + "\n")
