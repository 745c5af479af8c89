"""The training step of bench/speed/engine.mjs in PyTorch: same shape, AdamW, float32. Prints one JSON object; fails without torch."""
import json
import math
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class RmsNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon))


class Linear(nn.Module):
    """y = x W^T, with an adapter (alpha / r) (x A^T) B^T beside frozen weights where there is one."""

    def __init__(self, inputs, outputs, lora):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * 0.02, requires_grad=lora is None)
        self.lora = lora
        if lora is not None:
            self.a = nn.Parameter((torch.rand(lora["r"], inputs) * 2 - 1) / math.sqrt(inputs))
            self.b = nn.Parameter(torch.zeros(outputs, lora["r"]))

    def forward(self, x):
        y = F.linear(x, self.weight)
        if self.lora is None:
            return y
        return y + F.linear(F.linear(x, self.a), self.b) * (self.lora["lora_alpha"] / self.lora["r"])


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        hidden, lora = c["hidden_size"], c.get("lora")
        self.heads, self.groups = c["num_attention_heads"], c["num_key_value_heads"]
        self.width = hidden // self.heads
        self.input_norm = RmsNorm(hidden, c["rms_norm_eps"])
        self.middle_norm = RmsNorm(hidden, c["rms_norm_eps"])
        self.query = Linear(hidden, hidden, lora)
        self.key = Linear(hidden, self.groups * self.width, lora)
        self.value = Linear(hidden, self.groups * self.width, lora)
        self.output = Linear(hidden, hidden, lora)
        self.gate = Linear(hidden, c["intermediate_size"], lora)
        self.up = Linear(hidden, c["intermediate_size"], lora)
        self.down = Linear(c["intermediate_size"], hidden, lora)

    def forward(self, x, cos, sin, mask):
        batch, length, hidden = x.shape
        normed = self.input_norm(x)
        q = self.query(normed).view(batch, length, self.heads, self.width).transpose(1, 2)
        k = self.key(normed).view(batch, length, self.groups, self.width).transpose(1, 2)
        v = self.value(normed).view(batch, length, self.groups, self.width).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(self.heads // self.groups, dim=1)
        v = v.repeat_interleave(self.heads // self.groups, dim=1)
        if hasattr(F, "scaled_dot_product_attention"):
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            mixed = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(self.width) + mask, dim=-1) @ v
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, length, hidden))
        normed = self.middle_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embedding = nn.Parameter(torch.randn(c["vocab_size"], c["hidden_size"]) * 0.02)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        tied = c["tie_word_embeddings"]
        self.head = self.embedding if tied else nn.Parameter(torch.randn(c["vocab_size"], c["hidden_size"]) * 0.02)

    def forward(self, ids):
        length = ids.shape[1]
        width = self.c["hidden_size"] // self.c["num_attention_heads"]
        device = ids.device
        frequencies = self.c["rope_theta"] ** (-torch.arange(0, width, 2, device=device).float() / width)
        angles = torch.outer(torch.arange(length, device=device).float(), frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        mask = torch.full((length, length), float("-inf"), device=device).triu(1)
        x = F.embedding(ids, self.embedding)
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin(), mask)
        return F.linear(self.norm(x), self.head)


def main():
    request = json.loads(sys.argv[1])
    config, sequences, tokens = request["config"], request["sequences"], request["tokens"]
    torch.manual_seed(1)
    model = Transformer(config)
    if config.get("lora"):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.endswith(".a") or name.endswith(".b"))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-4, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01)
    ids = torch.tensor([[(row * 7 + t * 13) % config["vocab_size"] for t in range(tokens + 1)] for row in range(sequences)])

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(ids[:, :-1])
        F.cross_entropy(logits.reshape(-1, config["vocab_size"]), ids[:, 1:].reshape(-1)).backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()

    def measure(threads):
        torch.set_num_threads(threads)
        step()
        seconds, begun = [], time.perf_counter()
        while len(seconds) < 3 or time.perf_counter() - begun < request["seconds"]:
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds), len(seconds), threads

    # More threads are not always faster: the best counts.
    median, runs, threads = min(measure(threads) for threads in sorted({1, request["threads"]}))
    blas = next((line.strip(" -") for line in torch.__config__.show().split("\n") if "BLAS_INFO" in line), "")
    blas = blas[blas.find("BLAS_INFO=") :].split(",")[0]
    print(
        json.dumps(
            {
                "backend": f"torch {torch.__version__}, {blas}, {threads} threads",
                "tokensPerSecond": round(sequences * tokens / median, 1),
                "runs": runs,
            }
        )
    )


if __name__ == "__main__":
    main()
