"""The cases of bench/gpu/cases.mjs in PyTorch, float32, with TF32 products off and on. Reads a request, prints a JSON line a case."""
import json
import math
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "speed"))
from torch_step import Transformer, rotate  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def synchronise():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def training(config, count, tokens):
    model = Transformer(config).to(DEVICE)
    if config.get("lora"):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.endswith(".a") or name.endswith(".b"))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-4, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01)
    rows = [[(row * 7 + t * 13) % config["vocab_size"] for t in range(tokens + 1)] for row in range(count)]
    ids = torch.tensor(rows, device=DEVICE)

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(ids[:, :-1])
        F.cross_entropy(logits.reshape(-1, config["vocab_size"]), ids[:, 1:].reshape(-1)).backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()

    return step


def attend(queries, keys, values):
    """Attention of all queries on all keys: a prompt on itself, or the newest token on what was before."""
    causal = queries.shape[2] > 1
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
    if causal:
        scores = scores + torch.full(scores.shape[2:], float("-inf"), device=scores.device).triu(1)
    return torch.softmax(scores, dim=-1) @ values


def decoding(config, count, tokens):
    """Greedy decoding with a key-value cache of its full length from the start."""
    model = Transformer({**config, "lora": None}).to(DEVICE).requires_grad_(False)
    width = config["hidden_size"] // config["num_attention_heads"]
    frequencies = config["rope_theta"] ** (-torch.arange(0, width, 2).float() / width)
    angles = torch.outer(torch.arange(8 + tokens).float(), frequencies)
    angles = torch.cat((angles, angles), dim=-1).to(DEVICE)
    cosines, sines = angles.cos(), angles.sin()

    def forward(ids, position, cache):
        batch, length = ids.shape
        x = F.embedding(ids, model.embedding)
        cos, sin = cosines[position : position + length], sines[position : position + length]
        for layer, (keys, values) in zip(model.layers, cache):
            normed = layer.input_norm(x)
            q = layer.query(normed).view(batch, length, layer.heads, width).transpose(1, 2)
            k = layer.key(normed).view(batch, length, layer.groups, width).transpose(1, 2)
            v = layer.value(normed).view(batch, length, layer.groups, width).transpose(1, 2)
            keys[:, :, position : position + length] = rotate(k, cos, sin)
            values[:, :, position : position + length] = v
            end, times = position + length, layer.heads // layer.groups
            seen = [cached[:, :, :end].repeat_interleave(times, dim=1) for cached in (keys, values)]
            mixed = attend(rotate(q, cos, sin), *seen)
            x = x + layer.output(mixed.transpose(1, 2).reshape(batch, length, -1))
            normed = layer.middle_norm(x)
            x = x + layer.down(F.silu(layer.gate(normed)) * layer.up(normed))
        return F.linear(model.norm(x[:, -1]), model.head)

    @torch.inference_mode()
    def step():
        shape = (count, config["num_key_value_heads"], 8 + tokens, width)
        cache = [(torch.zeros(shape, device=DEVICE), torch.zeros(shape, device=DEVICE)) for _ in model.layers]
        ids = torch.tensor([[row + 1, 2, 3, 4, 5, 6, 7, 8] for row in range(count)], device=DEVICE)
        position = 0
        for _ in range(tokens):
            logits = forward(ids, position, cache)
            position += ids.shape[1]
            ids = logits.argmax(-1, keepdim=True)
            ids.tolist()  # a server hands every token on

    return step


def main():
    request = json.load(sys.stdin)
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "no GPU: PyTorch on the processor"
    for tf32 in (False, True) if DEVICE == "cuda" else (False,):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        for case in request["cases"]:
            torch.manual_seed(1)
            step = {"training": training, "decoding": decoding}[case["kind"]](case["config"], case["count"], case["tokens"])
            step()
            synchronise()
            seconds, begun = [], time.perf_counter()
            while len(seconds) < (1 if request["tiny"] else 3) or time.perf_counter() - begun < request["seconds"]:
                started = time.perf_counter()
                step()
                synchronise()
                seconds.append(time.perf_counter() - started)
            median = statistics.median(seconds)
            line = {"case": case["case"], "tf32": tf32, "tokensPerSecond": round(case["count"] * case["tokens"] / median, 1)}
            print(json.dumps({**line, "runs": len(seconds), "torch": torch.__version__, "on": name}), flush=True)


main()
