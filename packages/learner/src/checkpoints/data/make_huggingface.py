"""Writes the folders of huggingface/ with transformers 5.23.0 and torch 2.6.0: random models as save_pretrained leaves them.

Each folder has an expected.json beside the files of the model: logits at some positions of a sequence of ids (float32, base64), ids of
texts, and the ids of a conversation in the model's chat template.

Usage: python make_huggingface.py <folder>
"""
import base64, json, sys
from pathlib import Path
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

out = Path(sys.argv[1])
CORPUS = ["Janet's ducks lay 16 eggs per day; she eats three for breakfast.", "How many eggs are left? 16 - 3 = 13 eggs, or $26.\n\n"] * 4
TEXTS = ["She sold 13 eggs for $2 each.", "  two  spaces,\ttab\n\nnew lines", "don't we'LL 12345", "Ärger über naïve 東京 🦆", "<|im_start|>user<|im_end|>x", ""]
TEMPLATE = (
    "{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)
MESSAGES = [{"role": "user", "content": "How many eggs?"}, {"role": "assistant", "content": "13"}, {"role": "user", "content": "Are you sure?\n"}]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SHAPE = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, initializer_range=0.3)
SEQUENCE = 48


def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    if kind == "smollm2":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    else:
        split = pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=290, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[0], chat_template=TEMPLATE)


def write(name: str, architecture, config, dtype=torch.float32, **saving):
    torch.manual_seed(1)
    tokenizer = tokenizer_of(name)
    config = config(vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, pad_token_id=0, **SHAPE | extras.get(name, {}))
    model = architecture(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "norm" in key:
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
            elif key.endswith("bias"):
                weight.copy_(0.5 * torch.randn_like(weight))
    model.generation_config.eos_token_id = [2, 0]
    folder = out / name
    model.to(dtype).save_pretrained(folder, **saving)
    tokenizer.save_pretrained(folder)
    ids = torch.randint(3, len(tokenizer), (1, SEQUENCE))
    with torch.no_grad():
        logits = architecture.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()(ids).logits[0]
    rows = [0, 1, 7, 15, 16, 31, SEQUENCE - 1]
    expected = {
        "ids": ids[0].tolist(),
        "rows": rows,
        "logits": base64.b64encode(logits[rows].numpy().tobytes()).decode(),
        "texts": [{"text": text, "ids": tokenizer(text, add_special_tokens=False).input_ids} for text in TEXTS],
        "messages": MESSAGES,
        "prompt": tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False),
    }
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


rope = lambda kind, **rest: {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, "original_max_position_embeddings": 16, **rest}}
extras = {
    "smollm2": {"tie_word_embeddings": True, "num_attention_heads": 3, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "rope_theta": 100000.0},
    "llama3": {"tie_word_embeddings": False, "max_position_embeddings": 8192} | rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0),
    "qwen2": {"tie_word_embeddings": True, "max_position_embeddings": 64},
    "qwen2-yarn": {"tie_word_embeddings": False, "max_position_embeddings": 64} | rope("yarn", factor=4.0),
    "qwen3": {"tie_word_embeddings": True, "head_dim": 16, "max_position_embeddings": 64},
}
write("smollm2", LlamaForCausalLM, LlamaConfig, dtype=torch.bfloat16)
write("llama3", LlamaForCausalLM, LlamaConfig, max_shard_size="40KB")
write("qwen2", Qwen2ForCausalLM, Qwen2Config)
write("qwen2-yarn", Qwen2ForCausalLM, Qwen2Config, dtype=torch.float16)
write("qwen3", Qwen3ForCausalLM, Qwen3Config)
