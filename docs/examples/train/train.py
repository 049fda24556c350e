"""A training loop of one's own: `python train.py old|new|both`. Every step lies in an NVTX range.

Old steps ask for the loss after each of them and let AdamW go through the parameters one by one; new steps do neither.
`both` runs them in turn, A B B A, in ranges `old step` and `new step`; alone they are called `step`.
"""

import sys

import torch

STEPS, WARMUP, BATCH, WIDTH, LAYERS = 20, 5, 512, 1024, 8


class Training:
    def __init__(self, new, device):
        torch.manual_seed(0)
        self.new, self.device = new, device
        layers = [part for _ in range(LAYERS) for part in (torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU())]
        self.model = torch.nn.Sequential(*layers).to(device)
        options = {"fused": True} if new else {"foreach": False}
        self.optimizer = torch.optim.AdamW(self.model.parameters(), **options)
        self.losses = []

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.detach() if self.new else loss.item())


def named(name, work, device):
    if device == "cpu":
        return work()
    torch.cuda.nvtx.range_push(name)
    work()
    torch.cuda.nvtx.range_pop()


def main(which, device="cuda", steps=STEPS):
    x, y = (torch.randn(BATCH, WIDTH, device=device) for _ in "xy")
    trained = {"old": Training(False, device), "new": Training(True, device)}
    order = ["old", "new", "new", "old"] * (steps // 2) if which == "both" else [which] * steps
    for one in dict.fromkeys(order):
        named("warmup", lambda one=one: [trained[one].step(x, y) for _ in range(WARMUP)], device)
    if device == "cuda":
        torch.cuda.synchronize()
    for one in order:
        named(f"{one} step" if which == "both" else "step", lambda one=one: trained[one].step(x, y), device)
        if device == "cuda":
            torch.cuda.synchronize()
    print({one: float(trained[one].losses[-1]) for one in dict.fromkeys(order)})


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["both"])
