"""Writes the GGUF fixtures of this folder with the Python package gguf 0.19.0, an implementation that is not ours.

blocks.json          random blocks of each quantised type, and what gguf dequantises them to
tiny-<family>.gguf   random models of 2 layers, float32; tiny-logits.json beside them is made by expected-logits.mjs with llama.cpp
tiny-<family>-parts-0000i-of-0000n.gguf   one of them in several files
mixed.gguf           a random model of 1 layer with a tensor of every type; mixed.json holds SHA-256 of each weight as float32, by Hugging Face name

Usage: python make_fixtures.py <folder>
"""
import base64, hashlib, json, sys
from pathlib import Path
import numpy as np
from gguf import GGMLQuantizationType as T, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, RopeScalingType, TokenType
from gguf.quants import dequantize, quantize

out = Path(sys.argv[1])
random = np.random.default_rng(7)


def blocks_of(kind: T, rows: int, columns: int) -> np.ndarray:
    """Quantised rows as bytes. What gguf does not quantise is random bytes with sane scales."""
    if kind not in SCALES:
        return quantize((random.standard_normal((rows, columns)) * 0.1).astype(np.float32), kind)
    size, places = SCALES[kind]
    count = rows * columns // GGML_QUANT_SIZES[kind][0]
    data = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in places:
        data[:, at : at + 2] = random.uniform(1e-4, 1e-3, (count, 1)).astype(np.float16).view(np.uint8)
    return data.reshape(rows, -1)


# Types that gguf does not quantise: bytes of a block, and where its halves are.
SCALES = {T.Q2_K: (84, (80, 82)), T.Q3_K: (110, (108,)), T.Q4_K: (144, (0, 2)), T.Q5_K: (176, (0, 2)), T.Q6_K: (210, (208,)), T.IQ4_NL: (18, (0,))}

blocks = {}


def add_blocks(kind: T):
    raw = blocks_of(kind, 2, 512)
    values = dequantize(raw, kind).astype("<f4")
    blocks[kind.name] = {"bytes": base64.b64encode(raw.tobytes()).decode(), "values": base64.b64encode(values.tobytes()).decode()}


for kind in (T.Q8_0, T.Q4_0, T.Q4_1, T.Q4_K, T.Q6_K, T.F16, T.BF16):
    add_blocks(kind)

TEMPLATE = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


def byte_symbols() -> list[str]:
    prints = lambda b: 32 < b < 127 or 160 < b != 173
    extra = iter(range(256, 512))
    return [chr(b) if prints(b) else chr(next(extra)) for b in range(256)]


def add_tokenizer(w: GGUFWriter) -> int:
    tokens = byte_symbols() + ["Ġt", "he", "Ġthe", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    types = [TokenType.NORMAL] * 259 + [TokenType.CONTROL] * 3
    w.add_tokenizer_model("gpt2"), w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens), w.add_token_types(types), w.add_token_merges(["Ġ t", "h e", "Ġt he"])
    w.add_bos_token_id(259), w.add_eos_token_id(260), w.add_chat_template(TEMPLATE), w.add_add_bos_token(False)
    return len(tokens)


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """What convert_hf_to_gguf.py of llama.cpp does to q and k of a Llama."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def llama3_factors(theta: float, head_dim: int, factor: float) -> np.ndarray:
    """As convert_hf_to_gguf.py computes rope_freqs.weight."""
    low, high, context, factors = 1, 4, 8192, []
    for frequency in 1.0 / theta ** (np.arange(0, head_dim, 2) / head_dim):
        wavelength = 2 * np.pi / frequency
        if wavelength < context / high:
            factors.append(1)
        elif wavelength > context / low:
            factors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)


def architecture(w: GGUFWriter, hidden, ffn, layers, heads, kv, theta, head_dim):
    w.add_context_length(16384), w.add_embedding_length(hidden), w.add_feed_forward_length(ffn), w.add_block_count(layers)
    w.add_head_count(heads), w.add_head_count_kv(kv), w.add_layer_norm_rms_eps(1e-5), w.add_rope_freq_base(theta)
    w.add_rope_dimension_count(head_dim)
    if head_dim * heads != hidden:
        w.add_key_length(head_dim), w.add_value_length(head_dim)


def tiny(family: str, tied: bool, head_dim=8, scaling=None, **writer):
    hidden, ffn, layers, heads, kv, theta = 32, 48, 2, 4, 2, 500000.0
    name = f"tiny-{family}{f'-{scaling}' if scaling in ('linear', 'yarn') else ''}"
    w = GGUFWriter(out / (f"{name}.gguf" if not writer else f"{name}-parts.gguf"), family, **writer)
    architecture(w, hidden, ffn, layers, heads, kv, theta, head_dim)
    if scaling == "linear":
        w.add_rope_scaling_type(RopeScalingType.LINEAR), w.add_rope_scaling_factor(4.0)
    if scaling == "yarn":
        w.add_rope_scaling_type(RopeScalingType.YARN), w.add_rope_scaling_factor(4.0), w.add_rope_scaling_orig_ctx_len(64)
    vocab = add_tokenizer(w)
    matrix = lambda *shape: (random.standard_normal(shape) * 0.25).astype(np.float32)
    norm = lambda n: (1 + 0.1 * random.standard_normal(n)).astype(np.float32)
    order = permute if family == "llama" else lambda x, _: x
    w.add_tensor("token_embd.weight", matrix(vocab, hidden))
    w.add_tensor("output_norm.weight", norm(hidden))
    if not tied:
        w.add_tensor("output.weight", matrix(vocab, hidden))
    if family == "llama" and scaling == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(theta, head_dim, 32.0))
    for i in range(layers):
        b = f"blk.{i}."
        w.add_tensor(b + "attn_norm.weight", norm(hidden))
        w.add_tensor(b + "attn_q.weight", order(matrix(heads * head_dim, hidden), heads))
        w.add_tensor(b + "attn_k.weight", order(matrix(kv * head_dim, hidden), kv))
        w.add_tensor(b + "attn_v.weight", matrix(kv * head_dim, hidden))
        if family == "qwen2":
            for p, n in (("q", heads), ("k", kv), ("v", kv)):
                w.add_tensor(b + f"attn_{p}.bias", matrix(n * head_dim))
        if family == "qwen3":
            w.add_tensor(b + "attn_q_norm.weight", norm(head_dim))
            w.add_tensor(b + "attn_k_norm.weight", norm(head_dim))
        w.add_tensor(b + "attn_output.weight", matrix(hidden, heads * head_dim))
        w.add_tensor(b + "ffn_norm.weight", norm(hidden))
        w.add_tensor(b + "ffn_gate.weight", matrix(ffn, hidden))
        w.add_tensor(b + "ffn_up.weight", matrix(ffn, hidden))
        w.add_tensor(b + "ffn_down.weight", matrix(hidden, ffn))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


tiny("llama", tied=True, scaling="llama3")
tiny("llama", tied=True, scaling="linear")
tiny("qwen2", tied=False)
tiny("qwen3", tied=True, head_dim=16)

w = GGUFWriter(out / "mixed.gguf", "llama")
hidden, ffn, heads, kv, head_dim = 256, 32, 8, 2, 32
architecture(w, hidden, ffn, 1, heads, kv, 10000.0, head_dim)
vocab = add_tokenizer(w)
hashes = {}


def add(name: str, theirs: str, kind: T, rows: int, columns: int, permuted_heads=None):
    raw = blocks_of(kind, rows, columns) if kind != T.F32 else random.standard_normal((rows, columns)).astype(np.float32)
    values = dequantize(raw, kind).astype("<f4").reshape(rows, columns)
    if permuted_heads:  # the inverse of permute
        half = rows // permuted_heads // 2
        values = values.reshape(permuted_heads, half, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    w.add_tensor(name, raw if rows > 1 else raw.reshape(-1), raw_dtype=kind)
    hashes[theirs] = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


b, p = "blk.0.", "model.layers.0."
add("token_embd.weight", "model.embed_tokens.weight", T.Q8_0, vocab, hidden)
add("output_norm.weight", "model.norm.weight", T.F32, 1, hidden)
add(b + "attn_norm.weight", p + "input_layernorm.weight", T.F32, 1, hidden)
add(b + "attn_q.weight", p + "self_attn.q_proj.weight", T.Q4_K, heads * head_dim, hidden, heads)
add(b + "attn_k.weight", p + "self_attn.k_proj.weight", T.Q6_K, kv * head_dim, hidden, kv)
add(b + "attn_v.weight", p + "self_attn.v_proj.weight", T.Q4_0, kv * head_dim, hidden)
add(b + "attn_output.weight", p + "self_attn.o_proj.weight", T.Q4_1, hidden, heads * head_dim)
add(b + "ffn_norm.weight", p + "post_attention_layernorm.weight", T.F32, 1, hidden)
add(b + "ffn_gate.weight", p + "mlp.gate_proj.weight", T.BF16, ffn, hidden)
add(b + "ffn_up.weight", p + "mlp.up_proj.weight", T.F16, ffn, hidden)
add(b + "ffn_down.weight", p + "mlp.down_proj.weight", T.Q8_0, hidden, ffn)
w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
# Later additions, each from a generator of its own, so that the files above stay as they are.
random = np.random.default_rng(8)
for kind in (T.Q5_0, T.Q5_1, T.Q5_K, T.Q2_K, T.Q3_K, T.IQ4_NL):
    add_blocks(kind)
(out / "blocks.json").write_text(json.dumps(blocks))
random = np.random.default_rng(9)
tiny("qwen2", tied=True, scaling="yarn")
random = np.random.default_rng(9)
tiny("qwen2", tied=True, scaling="yarn", split_max_tensors=12)
(out / "mixed.json").write_text(json.dumps(hashes, indent=1) + "\n")
