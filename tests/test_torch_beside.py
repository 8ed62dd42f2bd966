"""The same programs with torch itself, where one is installed: the same numbers and words.

The variable TORCH_PYTHON names the Python in whose environment torch is; `make test-torch` makes
one. What a program prints as JSON is compared within 1e-6 where it is numbers, as it is elsewhere.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest

TORCH_PYTHON = os.environ.get("TORCH_PYTHON")
pytestmark = pytest.mark.skipif(not TORCH_PYTHON, reason="TORCH_PYTHON names no Python with torch")

START = """
import copy, json, warnings
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
def ramp(*shape, at=0.0, dtype="float32"):
    n = int(np.prod(shape))
    return torch.from_numpy((np.cos(np.arange(n) * 1.7 + at)).reshape(shape).astype(dtype))
def set_weights(model):
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(ramp(*p.shape, at=i) * 0.5)
    return model
shown = []
def show(*values):
    for value in values:
        if isinstance(value, torch.Tensor):
            value = value.detach().tolist()
        shown.append(value)
def words(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function()
        except Exception as error:
            shown.append([type(error).__name__, str(error).split(chr(10))[0]])
        else:
            shown.append("nothing was raised")
x = ramp(16, 5)
labels = torch.from_numpy(np.arange(16) % 3)
def train(model, optimizer, steps=20, loss_of=nn.CrossEntropyLoss(), target=labels, each=None):
    for i in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(x), target)
        loss.backward()
        optimizer.step()
        if each is not None:
            each.step()
            show(optimizer.param_groups[0]["lr"])
        show(loss.item())
    show(*model.state_dict().values())
"""
NET = "nn.Sequential(nn.Linear(5, 8), nn.{}, nn.Linear(8, 3))"
OPTIMIZERS = [
    "SGD(ps, lr=0.1)",
    "SGD(ps, lr=0.1, momentum=0.9, dampening=0.5)",
    "SGD(ps, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)",
    "Adam(ps, lr=0.01)",
    "Adam(ps, lr=0.01, weight_decay=0.1, amsgrad=True)",
    "AdamW(ps, lr=0.01)",
    "RMSprop(ps, lr=0.01)",
    "RMSprop(ps, lr=0.01, momentum=0.5, centered=True)",
    "Adagrad(ps, lr=0.1)",
    "Adadelta(ps)",
    "Adamax(ps, lr=0.01)",
    "NAdam(ps, lr=0.01)",
    "SGD([{'params': ps[:2], 'lr': 0.5}, {'params': ps[2:]}], lr=0.1, maximize=True)",
]
ACTIVATIONS = [
    "ReLU()", "Tanh()", "Sigmoid()", "LeakyReLU()", "ELU()", "GELU()", "GELU('tanh')", "SiLU()",
    "Mish()", "SELU()", "CELU(0.7)", "Softplus()", "Softplus(2.0)", "Softsign()", "ReLU6()",
    "Hardtanh()", "Hardsigmoid()", "Hardswish()", "LogSigmoid()", "PReLU()", "PReLU(8)",
    "Softmax(dim=1)", "LogSoftmax(dim=-1)", "LayerNorm(8)", "BatchNorm1d(8)", "Identity()",
]  # fmt: skip
LOSSES = {
    "MSELoss": "ramp(16, 3, at=3)", "L1Loss": "ramp(16, 3, at=3)",
    "HuberLoss": "ramp(16, 3, at=3) * 3", "SmoothL1Loss": "ramp(16, 3, at=3) * 3",
    "BCEWithLogitsLoss": "(ramp(16, 3, at=3) > 0).float()",
    "CrossEntropyLoss": "labels",
}  # fmt: skip
SCHEDULERS = [
    "StepLR(o, 3)", "ExponentialLR(o, 0.9)", "CosineAnnealingLR(o, 6)", "MultiStepLR(o, [2, 5])",
    "LambdaLR(o, lambda epoch: 0.95**epoch)", "LinearLR(o)", "ConstantLR(o)", "PolynomialLR(o, 8)",
    "CosineAnnealingWarmRestarts(o, 3, 2)", "MultiplicativeLR(o, lambda epoch: 0.9)",
    "OneCycleLR(o, 0.5, total_steps=11)", "OneCycleLR(o, 0.5, total_steps=11, three_phase=True)",
    "CyclicLR(o, 0.01, 0.1, 3, mode='triangular2', cycle_momentum=False)",
    "SequentialLR(o, [LR.ConstantLR(o, 0.1, 2), LR.ExponentialLR(o, 0.9)], [2])",
]  # fmt: skip
PROGRAMS = {
    **{
        f"optim {one}": f"""
model = set_weights({NET.format("Tanh()")})
ps = list(model.parameters())
train(model, torch.optim.{one})
"""
        for one in OPTIMIZERS
    },
    **{
        f"nn {one}": f"""
model = {NET.format(one)}
if {one.startswith(("Lin", "PRe", "Layer", "Batch"))}:
    show(str(model))
set_weights(model)
show(repr(model[1]))
train(model, torch.optim.SGD(model.parameters(), lr=0.1))
model.eval()
show(model(x))
"""
        for one in ACTIVATIONS
    },
    **{
        f"loss {name} {reduction}": f"""
model = set_weights({NET.format("Tanh()")})
loss = nn.{name}(reduction="{reduction}")
def of(p, t):
    value = loss(p, t)
    return value if value.ndim == 0 else (value * value).sum() / 48
train(model, torch.optim.SGD(model.parameters(), lr=0.01), 5, of, {target})
"""
        for name, target in LOSSES.items()
        for reduction in ("mean", "sum", "none")
    },
    **{
        f"scheduler {one}": f"""
from torch.optim import lr_scheduler as LR
model = set_weights({NET.format("Tanh()")})
o = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
train(model, o, 10, each=LR.{one})
"""
        for one in SCHEDULERS
    },
    "plateau": """
p = nn.Parameter(torch.zeros(1))
for mode, metrics in (("min", [1.0] * 9), ("max", [0.5, 0.6, 0.6, 0.6, 0.6, 0.7, 0.6, 0.6, 0.6])):
    o = torch.optim.SGD([p], lr=0.1)
    s = torch.optim.lr_scheduler.ReduceLROnPlateau(o, mode, patience=2, cooldown=1, min_lr=1e-3)
    for metric in metrics:
        s.step(metric)
        show(o.param_groups[0]["lr"])
""",
    "a module of one's own": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 8, bias=False)
        self.norm = nn.BatchNorm1d(8)
        self.heads = nn.ModuleList([nn.Linear(8, 3, bias=False) for _ in range(2)])
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("shift", torch.full((3,), 0.5))
    def forward(self, x):
        h = F.relu(self.norm(self.first(x)))
        return sum(head(h) for head in self.heads) * self.scale + self.shift
model = set_weights(Net())
show(str(model), list(model.state_dict()), [name for name, _ in model.named_parameters()])
show([name for name, _ in model.named_modules()], [name for name, _ in model.named_buffers()])
o = torch.optim.Adam(model.parameters(), lr=0.01)
train(model, o)
other = Net()
show(str(other.load_state_dict(copy.deepcopy(model.state_dict()))))
twin = copy.deepcopy(model)
model.eval(), other.eval(), twin.train(False)
show(model(x), other(x), twin(x), sum(p.numel() for p in model.parameters()))
state = o.state_dict()
show(sorted(state), state["param_groups"][0]["params"], sorted(state["state"][0]))
again = torch.optim.Adam(twin.parameters())
again.load_state_dict(copy.deepcopy(state))
model.train(), twin.train()
train(model, o, 3)
train(twin, again, 3)
""",
    "gradients add up": """
model = set_weights(nn.Sequential(nn.Linear(5, 3)))
loss_of = nn.CrossEntropyLoss()
for rows in (slice(0, 8), slice(8, 16)):
    (loss_of(model(x[rows]), labels[rows]) / 2).backward()
show(model[0].weight.grad)
first, second = model(x[:4]), model(x[4:])
(first.sum() + (second ** 2).sum()).backward()
show(model[0].weight.grad, model[0].bias.grad)
model.zero_grad()
show(model[0].weight.grad is None)
loss_of(model(x), labels).backward()
show(float(nn.utils.clip_grad_norm_(model.parameters(), 0.05)), model[0].weight.grad)
nn.utils.clip_grad_value_(model.parameters(), 0.01)
show(model[0].weight.grad)
model[0].weight.requires_grad_(False)
o = torch.optim.Adam(model.parameters(), lr=0.1)
train(model, o, 3)
model[0].weight.requires_grad_(True)
train(model, o, 3)
""",
    "update by hand": """
w = ramp(5, 3).clone().requires_grad_()
b = torch.zeros(3, requires_grad=True)
for i in range(5):
    loss = F.cross_entropy(x @ w + b, labels)
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        b -= 0.1 * b.grad
        w.grad.zero_()
        b.grad = None
    show(loss.item(), w, b)
with torch.no_grad():
    predicted = (x @ w + b).argmax(dim=1)
    show((predicted == labels).float().mean().item(), predicted)
p = nn.Parameter(torch.ones(2))
(p * p).sum().backward()
p.data -= 0.5 * p.grad
show(p, p.grad)
""",
    "losses with settings": """
z = torch.tensor([[2, 1, 0.1], [0.5, -1, 3]], requires_grad=True)
t = torch.tensor([0, 2])
for loss in (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum"),
             nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(reduction="none"),
             nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])),
             nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.2)):
    z.grad = None
    (loss(z, t) * torch.tensor(1.0)).sum().backward()
    show(loss(z, t), z.grad)
z.grad = None
value = F.cross_entropy(z, torch.tensor([0, -100]))
value.backward()
show(value, z.grad)
show(F.cross_entropy(z, torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])))
show(F.nll_loss(F.log_softmax(z, dim=1), t), F.cross_entropy(z[0], t[0]))
show(F.cross_entropy(ramp(2, 3, 4), torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]])))
a = torch.tensor([2.0, -1.0, 0.0], requires_grad=True)
y = torch.tensor([1.0, 0.0, 1.0])
show(F.binary_cross_entropy_with_logits(a, y))
show(F.binary_cross_entropy_with_logits(a, y, pos_weight=torch.tensor(3.0)))
show(F.binary_cross_entropy_with_logits(a, y, pos_weight=torch.tensor([3.0, 1.0, 2.0])))
show(F.binary_cross_entropy(torch.tensor([0.0, 1.0, 0.25]), torch.tensor([1.0, 1.0, 0.5])))
show(F.binary_cross_entropy(torch.sigmoid(a), y, weight=torch.tensor([1.0, 2.0, 3.0])))
show(F.kl_div(F.log_softmax(z, 1), torch.softmax(z.detach() * 2, 1), reduction="batchmean"))
show(F.mse_loss(ramp(2, 3, 4), ramp(2, 3, 4, at=1)), F.huber_loss(z, z.detach() + 3, delta=0.5))
show(F.cosine_similarity(ramp(3, 4), ramp(3, 4, at=1)), F.normalize(ramp(3, 4)))
""",
    "layers": """
e = nn.Embedding(6, 4, padding_idx=0)
with torch.no_grad():
    e.weight.copy_(ramp(6, 4))
i = torch.tensor([[1, 2], [0, 1]])
(e(i) * ramp(2, 2, 4)).sum().backward()
show(e(i), e.weight.grad, str(e))
bn = nn.BatchNorm1d(2)
show(bn(torch.tensor([[1.0, 2.0], [3.0, 6.0]])), bn.running_mean, bn.running_var)
show(int(bn.num_batches_tracked), list(bn.state_dict()), str(bn))
bn3 = nn.BatchNorm1d(3)
show(bn3(ramp(2, 3, 4)), bn3.running_var)
free = nn.BatchNorm1d(2, affine=False, momentum=None)
for _ in range(3):
    free(ramp(4, 2))
show(free.running_mean, free.running_var, list(free.state_dict()), str(free))
show(nn.LayerNorm((2, 3))(ramp(4, 2, 3)), nn.LayerNorm(3, bias=False)(ramp(2, 2, 3)))
show(nn.Linear(3, 2)(torch.zeros(2, 5, 3)).shape == (2, 5, 2), nn.Flatten()(ramp(2, 3, 4)).shape)
show(F.one_hot(torch.tensor([0, 2, 1])), nn.Dropout(0.5).eval()(ramp(3)))
show(str(nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.ReLU(inplace=True), nn.Softmax(dim=1))))
show(str(nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.ModuleDict({"a": nn.Tanh()}))))
show(str(nn.CrossEntropyLoss()), str(nn.Embedding(3, 2)), str(nn.LayerNorm(4)))
""",
    "tensors": """
t = torch.tensor
a = ramp(2, 3)
show(a.sum(), a.sum(dim=1), a.mean(0), a.max(), a.argmax(dim=1), a.min(dim=1).values, a.std())
show(a.view(-1), a.reshape(3, 2), a.t(), a.T, a.flatten(), a.unsqueeze(0).squeeze(), a.var(0))
show(a[0], a[:, 1], a[a > 0], a[..., -1], a[t([0, 0])], a[None].shape, len(a))
show(torch.cat([a, a]), torch.stack([a, a], dim=1), torch.where(a > 0, a, t(0.0)))
show(a @ a.T, torch.matmul(a, a[0]), a * 2 + 1, 1 / a, a ** 2, a - a[0], -a, a.abs())
show(a.clamp(-0.5, 0.5))
show(a.exp(), a.sqrt().isnan().any(), a.norm(), a.norm(1), a.softmax(1), a.log_softmax(0))
show(a.topk(2).indices)
show(str(a.dtype), str(a.double().dtype), str(a.long().dtype), str((a > 0).dtype), str(t(1).dtype))
show(str(t([1, 2]).float().mean().dtype), str((t([1, 2]) / 2).dtype), str((t([1]) + 1.5).dtype))
show(torch.arange(5), torch.arange(0.0, 1.0, 0.25), torch.linspace(0, 1, 3), torch.eye(2))
show(torch.full((2,), 7))
show(torch.zeros(2, 3).shape, torch.ones_like(a), torch.randn(2, 3).shape, torch.rand(4).dim())
show(a.tolist(), a[0, 0].item(), a.numel(), a.size(0), a.ndim, bool(t(1.0)), int(t(3)))
show(float(t(2.5)))
show((a == a).all(), torch.equal(a, a), torch.allclose(a, a + 1e-9), a.sort(dim=1).values)
show(a.cumsum(1))
show(a.repeat(2, 1), a[0].expand(2, 3), a.chunk(3, dim=1)[2], a.split(2, 1)[0])
show(a.gather(1, t([[0], [2]])))
b = a.clone()
b[0, 0] = 5.0
b[1] = t([1.0, 2.0, 3.0])
b += 1
b.mul_(2).clamp_(max=6)
show(b, a.unbind(0)[1], a.masked_fill(a > 0, 0.0), torch.tril(torch.ones(2, 2)), a.prod())
show(a.logsumexp(1))
show(torch.log1p(a.abs()), torch.expm1(a), torch.atan(a), torch.erf(a), torch.log2(a.exp()))
show(torch.flip(a, [0, 1]), torch.roll(a, 1), torch.diag(a[0]), torch.diag(a), torch.median(a))
show(torch.logical_and(a > 0, a < 0.5), torch.count_nonzero(a > 0), torch.lerp(a, a * 2, 0.25))
show(torch.repeat_interleave(a, 2, dim=1), torch.movedim(a, 0, 1), torch.log10(a.abs()))
g = a.clone().requires_grad_()
(torch.log1p(g * g) * g.erf() + torch.atan(g).flip(0, 1) + torch.expm1(g)).sum().backward()
show(g.grad)
show(torch.max(a, 1).indices, torch.sum(a, dim=0), torch.abs(a), torch.bincount(t([0, 2, 2])))
""",
    "texts": """
t = torch.tensor
torch.set_printoptions(profile="default") if hasattr(torch, "_C") else None
for one in (t([2.0, 4.0]), t([[1.5, -2.0], [1e-3, 100.0]]), t([1e-5, 1.0]), t([1e9, 1.0]),
            t(3), t(2.5),
            t([True, False]), t([1, -20, 300]), t([]), torch.zeros(0, 3), t([1.0],
            dtype=torch.float64),
            t([1, 2], dtype=torch.int32), torch.zeros(2, 2, 2), torch.arange(40),
            torch.arange(1100),
            torch.ones(30) / 3, t([float("inf"), 1.0]), t([float("nan"), -1.5]), torch.zeros(3,
            1001),
            t([1.0], requires_grad=True), t(1e10), t([-0.0, 0.0]), torch.ones(2, 3,
            dtype=torch.long) * 12,
            nn.Parameter(t([1.0, 2.0])), t([0.1, 1234.5]), t([0.00012, 0.5]), torch.linspace(0,
            1, 25),
            t(1.0, dtype=torch.double), torch.zeros(2, 0), t([[1.0, 2.0]], dtype=torch.double)):
    show(repr(one))
show(f"{t(1.23456):.3f}", f"{t(3):d}", str(torch.Size([2, 3])), str(torch.device("cpu")))
show(str(torch.optim.SGD([nn.Parameter(t([1.0]))], lr=0.1)).split(chr(10))[0])
""",
    "words": """
t = torch.tensor
net = nn.Linear(3, 2)
words(lambda: net(torch.zeros(2, 4)))
words(lambda: net(torch.zeros(2, 3, dtype=torch.float64)))
words(lambda: torch.zeros(2, 4) @ torch.zeros(3, 2))
words(lambda: nn.CrossEntropyLoss()(torch.zeros(2, 3), t([0, 3])))
words(lambda: nn.CrossEntropyLoss()(torch.zeros(2, 3), t([0.0, 1.0])))
words(lambda: nn.CrossEntropyLoss()(torch.zeros(2, 3), t([0, 1, 2])))
words(lambda: torch.zeros(2, requires_grad=True).backward())
words(lambda: torch.zeros(1).backward())
def twice():
    loss = net(torch.zeros(2, 3)).sum()
    loss.backward()
    loss.backward()
words(twice)
def in_place():
    p = torch.zeros(2, requires_grad=True)
    p += 1
words(in_place)
words(lambda: torch.zeros(2, requires_grad=True).numpy())
words(lambda: torch.optim.SGD([], lr=0.1))
words(lambda: torch.optim.SGD(net.parameters(), lr=-1.0))
words(lambda: torch.optim.Adam(net.parameters(), betas=(1.0, 0.9)))
words(lambda: torch.zeros(6).view(4, 2))
words(lambda: torch.zeros(3, 2).t().view(6))
words(lambda: torch.zeros(2).item())
words(lambda: bool(torch.zeros(2)))
words(lambda: nn.Module()(1))
class NoInit(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(1, 1)
words(lambda: NoInit())
def not_a_parameter():
    net.weight = torch.zeros(2, 3)
words(not_a_parameter)
words(lambda: net.nothing)
words(lambda: nn.Sequential(net).load_state_dict({"0.weight": torch.zeros(2, 3),
            "x": torch.zeros(1)}))
words(lambda: nn.Dropout(1.5))
words(lambda: nn.BatchNorm1d(3)(torch.zeros(1, 3)))
words(lambda: torch.stack([torch.zeros(2), torch.zeros(3)]))
words(lambda: torch.zeros(3)[5])
words(lambda: len(t(1.0)))
words(lambda: F.relu([1.0]))
words(lambda: nn.Sequential(net)[3])
words(lambda: t([1, 2]).mean())
words(lambda: t([1, 2], requires_grad=True))
words(lambda: F.one_hot(t([0.0])))
""",
    "program: initial weights by hand, early stopping, scheduler, clipping": """
def start(m):
    if isinstance(m, nn.Linear):
        nn.init.constant_(m.weight, 0.1)
        m.weight.data += ramp(*m.weight.shape) * 0.3
        if m.bias is not None:
            m.bias.data.fill_(0.01)
model = nn.Sequential(
    nn.Linear(5, 16, bias=False), nn.BatchNorm1d(16), nn.LeakyReLU(0.1), nn.Linear(16, 3))
model.apply(start)
decay = [p for n, p in model.named_parameters() if n.endswith("weight")]
rest = [p for n, p in model.named_parameters() if not n.endswith("weight")]
o = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest}], lr=0.02)
s = torch.optim.lr_scheduler.StepLR(o, step_size=4, gamma=0.5)
best, best_state, bad = float("inf"), None, 0
for epoch in range(12):
    model.train()
    total = 0.0
    for i in range(0, 16, 4):
        xb, yb = x[i:i + 4], labels[i:i + 4]
        o.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
        o.step()
        total += loss.item() * xb.size(0)
    s.step()
    model.eval()
    with torch.no_grad():
        out = model(x)
        val = F.cross_entropy(out, labels).item()
        correct = (out.argmax(1) == labels).sum().item()
    if val < best:
        best, bad, best_state = val, 0, copy.deepcopy(model.state_dict())
    else:
        bad += 1
    show(total / len(x), val, correct, s.get_last_lr())
model.load_state_dict(best_state)
show(model(x))
""",
    "program: regression from scratch": """
xs = torch.linspace(-1, 1, 50).unsqueeze(1)
ys = xs.pow(3) + 0.3 * torch.cos(xs * 20)
w1 = (ramp(1, 20) * 2).requires_grad_(True)
b1 = torch.zeros(20, requires_grad=True)
w2 = ramp(20, 1, at=2).requires_grad_(True)
for step in range(30):
    hidden = (xs @ w1 + b1).tanh()
    loss = ((hidden.mm(w2) - ys) ** 2).mean() + 1e-3 * sum(w.abs().sum() for w in (w1, w2))
    loss.backward()
    with torch.no_grad():
        for w in (w1, b1, w2):
            w.sub_(0.05 * w.grad)
            w.grad.zero_()
    show(loss.item())
show(w1, b1, w2)
""",
    "program: variational autoencoder": """
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.mean, self.log_var = nn.Linear(8, 2), nn.Linear(8, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 5), nn.Sigmoid())
    def forward(self, x, noise):
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + noise * torch.exp(0.5 * log_var)
        return self.decoder(z), mean, log_var
model = set_weights(VAE())
o = torch.optim.Adam(model.parameters(), lr=1e-2)
data = (x + 1) / 2
for i in range(15):
    out, mean, log_var = model(data, ramp(16, 2, at=i))
    bce = F.binary_cross_entropy(out, data, reduction="sum")
    kld = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
    loss = bce + kld
    o.zero_grad()
    loss.backward()
    o.step()
    show(bce.item(), kld.item())
show(out)
""",
    "program: two networks against each other": """
G = set_weights(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 5)))
D = set_weights(nn.Sequential(nn.Linear(5, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)))
og = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
od = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
loss = nn.BCEWithLogitsLoss()
for i in range(10):
    fake = G(ramp(16, 2, at=i))
    od.zero_grad()
    d = loss(D(x), torch.ones(16, 1)) + loss(D(fake.detach()), torch.zeros(16, 1))
    d.backward()
    od.step()
    og.zero_grad()
    g = loss(D(fake), torch.ones(16, 1))
    g.backward()
    og.step()
    show(d.item(), g.item())
""",
    "program: deep Q": """
policy = set_weights(nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)))
target = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
target.load_state_dict(policy.state_dict())
o = torch.optim.RMSprop(policy.parameters(), lr=1e-3)
actions, rewards = labels.unsqueeze(1), ramp(16, at=4)
done = torch.tensor([i % 5 == 0 for i in range(16)])
for i in range(12):
    q = policy(x).gather(1, actions).squeeze(1)
    with torch.no_grad():
        following = target(ramp(16, 5, at=i)).max(1)[0]
        following[done] = 0.0
        goal = rewards + 0.9 * following
    loss = F.smooth_l1_loss(q, goal)
    o.zero_grad()
    loss.backward()
    for p in policy.parameters():
        p.grad.data.clamp_(-1, 1)
    o.step()
    for t, p in zip(target.parameters(), policy.parameters()):
        t.data.copy_(0.9 * t.data + 0.1 * p.data)
    show(loss.item())
show(*target.state_dict().values())
""",
    "program: words": """
class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 6)
        self.out = nn.Linear(6, 3)
    def forward(self, ids, mask):
        h = self.table(ids) * mask.unsqueeze(-1)
        return self.out(h.sum(dim=1) / mask.sum(dim=1, keepdim=True))
model = set_weights(Bag())
ids = torch.from_numpy((np.arange(64).reshape(16, 4) * 7) % 10)
mask = (ids > 2).float() + 0.5
o = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
for i in range(15):
    o.zero_grad()
    logits = model(ids, mask)
    loss = F.nll_loss(F.log_softmax(logits, dim=-1), labels)
    loss.backward()
    o.step()
    show(loss.item())
show(F.softmax(logits, dim=1), model.table.weight)
""",
    "program: a residual net with norms, accumulating": """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)
        self.gain = nn.Parameter(torch.tensor(0.5))
    def forward(self, x):
        return x + self.gain * self.b(F.gelu(self.a(self.norm(x))))
class Res(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block(5) for _ in range(3))
        self.head = nn.Linear(5, 3)
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)
model = set_weights(Res())
o = torch.optim.NAdam(model.parameters(), lr=0.01)
for i in range(10):
    o.zero_grad()
    for part in x.chunk(4), :
        for xb, yb in zip(part, labels.chunk(4)):
            (F.cross_entropy(model(xb), yb) / 4).backward()
    o.step()
    show(model(x).std().item())
show(*model.state_dict().values())
model.blocks[0].requires_grad_(False)
show(sum(p.numel() for p in model.parameters() if p.requires_grad))
""",
    "gradients of gradients": """
u = ramp(6, 1, dtype="float64").requires_grad_()
net = set_weights(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double())
y = net(u)
(slope,) = torch.autograd.grad(y.sum(), u, create_graph=True)
(bend,) = torch.autograd.grad(slope.sum(), u, create_graph=True)
((bend + y) ** 2).mean().backward()
show(slope, bend, *(p.grad for p in net.parameters() if p.grad is not None))
silu = nn.SiLU()(u)
(g,) = torch.autograd.grad(silu.sum(), u, create_graph=True)
show(torch.autograd.grad(g.sum(), u)[0])
""",
}


@functools.cache
def shown(python, imports):
    """Return what each program shows: all of them in one process, because torch starts slowly."""
    code = f"""{imports}
import json, traceback
programs, found = json.load(open(0)), {{}}
for name, (start, program) in programs.items():
    scope = {{}}
    try:
        exec(start + program, scope)
        found[name] = scope["shown"]
    except Exception:
        found[name] = traceback.format_exc()
print(json.dumps(found))"""
    result = subprocess.run(
        [python, "-X", "utf8", "-W", "ignore", "-c", code],
        input=json.dumps({name: (START, program) for name, program in PROGRAMS.items()}),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


OURS = """
import sys
from deepc import torch as _torch
for _name in ("nn", "nn.functional", "optim", "optim.lr_scheduler", "autograd"):
    __import__("deepc.torch." + _name)
sys.modules.update({name[6:]: module for name, module in sys.modules.items()
                    if name.startswith("deepc.torch")})
"""


def same(ours, theirs, place):
    if isinstance(theirs, list):
        assert isinstance(ours, list), (place, ours, theirs)
        assert len(ours) == len(theirs), (place, ours, theirs)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{place}.{i}")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6, nan_ok=True), place
    else:
        assert ours == theirs, place


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_numbers_and_words(name):
    ours, theirs = shown(sys.executable, OURS)[name], shown(TORCH_PYTHON, "")[name]
    assert isinstance(theirs, list), theirs
    assert isinstance(ours, list), ours
    same(ours, theirs, "shown")
