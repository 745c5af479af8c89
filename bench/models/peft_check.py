"""The other side of bench/models/adapters.mjs: loads our adapter in PEFT, makes one of PEFT's own, and writes what both say."""
import json
import sys
import warnings

import peft
import torch
import transformers

request = json.loads(open(sys.argv[1]).read())
torch.manual_seed(1)
torch.set_num_threads(request["threads"])
said = []


def base():
    model, found = transformers.AutoModelForCausalLM.from_pretrained(
        request["base"], dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    said.extend(f"{kind}: {sorted(found[kind])[:3]}" for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if found[kind])
    return model.eval()


def write_log_probs(model, path):
    """log-softmax over the vocabulary at every position of every text, float32, one after the other."""
    with torch.no_grad(), open(path, "wb") as file:
        for ids in request["texts"]:
            logits = model(torch.tensor([ids])).logits[0, :-1].float()
            file.write(torch.log_softmax(logits, dim=-1).contiguous().numpy().tobytes())


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ours = peft.PeftModel.from_pretrained(base(), request["ours"]).eval()
    again = ours.load_adapter(request["ours"], "again")
said.extend(str(warning.message) for warning in caught if "key" in str(warning.message))
said.extend(f"unexpected: {key}" for key in again.unexpected_keys)
said.extend(f"missing: {key}" for key in again.missing_keys if "lora_" in key and ".again." in key)
ours.set_adapter("default")
write_log_probs(ours, request["oursLogProbs"])

config = peft.LoraConfig(r=8, lora_alpha=24, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights="gaussian")
theirs = peft.get_peft_model(base(), config).eval()
with torch.no_grad():
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            parameter.normal_(0, 0.02)
theirs.save_pretrained(request["theirs"])
write_log_probs(theirs, request["theirsLogProbs"])
versions = {"peft": peft.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
print(json.dumps({"said": said, "versions": versions}))
