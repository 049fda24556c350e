"""A training step of a small Llama with random weights: transformers, bf16, AdamW parameter by parameter or fused.

train.py loop|fused STEPS     one optimizer, its steps are called `step`
train.py both STEPS           both in turn, A B B A: `loop step` and `fused step`
"""

import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(
    hidden_size=768,
    intermediate_size=2048,
    num_hidden_layers=8,
    num_attention_heads=12,
    num_key_value_heads=12,
    vocab_size=4096,
    max_position_embeddings=512,
)


def trainer(kind):
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG).to("cuda", torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=kind == "fused", foreach=False)
    tokens = torch.randint(0, CONFIG.vocab_size, (4, 256), device="cuda")

    def step():
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        torch.cuda.synchronize()
        return loss.item()

    return step


def run(name, step):
    torch.cuda.nvtx.range_push(name)
    loss = step()
    torch.cuda.nvtx.range_pop()
    return loss


kind, count = sys.argv[1], int(sys.argv[2])
kinds = ("loop", "fused") if kind == "both" else (kind,)
steps = {one: trainer(one) for one in kinds}
for one in kinds:
    for _ in range(4):
        run("warmup", steps[one])
for number in range(count):
    for one in kinds if number % 2 == 0 else kinds[::-1]:
        loss = run(f"{one} step" if kind == "both" else "step", steps[one])
print(kind, "loss", loss)
