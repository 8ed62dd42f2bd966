"""torch's face: known numbers, words and texts of torch, without torch.

The numbers are torch 2.13's and those of a NumPy program of their own in float64; test_torch_beside
compares whole programs with torch itself.
"""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import weakref

import deepc
import numpy as np
import pytest
from deepc import torch
from deepc.shipping.safetensors import read_tensors
from deepc.torch import nn
from deepc.torch.nn import functional as F
from deepc.torch.optim import lr_scheduler


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def cosines(*shape, at=0.0, dtype=np.float32):
    return torch.from_numpy(
        np.cos(np.arange(math.prod(shape)) * 1.7 + at).reshape(shape).astype(dtype)
    )


def close(tensor, expected, **how):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, **{"rtol": 1e-6, **how})


# ---- Known numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: torch.optim.SGD(p, 0.1, 0.9, 0.5), (0.99, 0.991, 0.9769)),
        (torch.optim.Adam, (0.9990000001, 0.999366103604, 0.999022862539)),
        (
            lambda p: torch.optim.Adam(p, weight_decay=0.1),
            (0.99900000005, 0.998734049202, 0.998076112249),
        ),
        (torch.optim.AdamW, (0.9989900001, 0.999346113704, 0.998992879178)),
        (torch.optim.RMSprop, (0.9000001, 0.989532356127, 0.909181928247)),
        (torch.optim.Adagrad, (0.99000000001, 0.998944271916, 0.990926434661)),
    ],
    ids=["SGD", "Adam", "Adam with decay", "AdamW", "RMSprop", "Adagrad"],
)
def test_steps_of_an_optimizer(make, expected):
    p = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = make([p])
    for gradient, value in zip((0.1, -0.2, 0.3), expected, strict=True):
        p.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        assert p.item() == pytest.approx(value, abs=1e-12)


def test_epsilon_stands_beside_the_root():
    p = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    p.grad = torch.tensor([0.1], dtype=torch.float64)
    torch.optim.RMSprop([p], 0.001, alpha=0.9, eps=1e-7).step()
    assert p.item() == pytest.approx(0.996837732340, abs=1e-12)


Z, T = [[2, 1, 0.1], [0.5, -1, 3]], [0, 2]


@pytest.mark.parametrize(
    ("loss", "target", "expected"),
    [
        (nn.CrossEntropyLoss(), T, 0.2563521728),
        (nn.CrossEntropyLoss(reduction="sum"), T, 0.5127043457),
        (nn.CrossEntropyLoss(label_smoothing=0.1), T, 0.4130188395),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])), T, 0.1760132511),
        (nn.CrossEntropyLoss(), [0, -100], 0.4170300163),
        (nn.CrossEntropyLoss(), [-100, -100], math.nan),
    ],
)
def test_cross_entropy(loss, target, expected):
    z = torch.tensor(Z, requires_grad=True)
    value = loss(z, torch.tensor(target))
    assert value.item() == pytest.approx(expected, rel=1e-6, nan_ok=True)
    value.backward()
    assert z.grad.shape == z.shape
    assert z.grad.isfinite().all() != math.isnan(expected)


def test_settings_of_a_loss_may_change():
    z, t = torch.tensor(Z), torch.tensor([0, 2])
    loss = nn.CrossEntropyLoss(ignore_index=0)
    alone = F.cross_entropy(z[1:], t[1:]).item()
    assert loss(z, t).item() == pytest.approx(alone)
    loss.ignore_index = -100
    assert loss(z, t).item() == pytest.approx(0.2563521728, rel=1e-6)
    loss.reduction = "sum"
    assert loss(z, t).item() == pytest.approx(0.5127043457, rel=1e-6)
    loss.register_forward_hook(lambda module, input, output: output * 2)
    assert loss(z, t).item() == pytest.approx(2 * 0.5127043457, rel=1e-6)


def test_labels_may_be_bytes():
    z = torch.tensor(Z)
    labels = torch.from_numpy(np.array(T, np.uint8))
    assert F.cross_entropy(z, labels).item() == pytest.approx(0.2563521728, rel=1e-6)


def test_binary_cross_entropy():
    z, y = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([1.0, 0.0, 1.0])
    assert nn.BCEWithLogitsLoss()(z, y).item() == pytest.approx(0.3777789597, rel=1e-6)
    weighted = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    assert weighted(z, y).item() == pytest.approx(0.9244957541, rel=1e-6)
    assert nn.BCELoss()(torch.tensor([0.0]), torch.tensor([1.0])).item() == 100.0


X = [[0, 0], [0, 1], [1, 0], [1, 1], [0.5, -0.5]]
Y = [0, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("make", "losses", "final"),
    [
        (lambda p: torch.optim.SGD(p, 0.1), (0.69768061, 0.66847916), 0.64565997),
        (torch.optim.Adam, (0.69535887, 0.69228327), 0.69060783),
        (torch.optim.RMSprop, (0.71972909, 0.67387220), 0.64209694),
    ],
    ids=["SGD", "Adam", "RMSprop"],
)
def test_two_epochs(make, losses, final):
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    kernels = [[[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]], [[0.7, -0.8], [0.9, 0.1], [-0.2, 0.3]]]
    for layer, kernel in zip((net[0], net[2]), kernels, strict=True):
        layer.weight.data = torch.tensor(kernel).double().T
        layer.bias.data.zero_()
    x, y = torch.tensor(X).double(), torch.tensor(Y)
    optimizer, criterion = make(net.parameters()), nn.CrossEntropyLoss()
    for expected in losses:
        total = 0.0
        for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
            optimizer.zero_grad()
            loss = criterion(net(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y[rows])
        assert total / 5 == pytest.approx(expected, abs=2e-8)
    with torch.no_grad():
        assert criterion(net(x), y).item() == pytest.approx(final, abs=2e-8)


def test_batch_norm_keeps_the_unbiased_variance():
    norm = nn.BatchNorm1d(2)
    norm(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    close(norm.running_mean, [0.2, 0.4])
    close(norm.running_var, [1.1, 1.7])
    assert norm.num_batches_tracked.item() == 1


def test_clipping_a_norm():
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5.0
    close(p.grad, [0.5999999, 0.7999998], rtol=1e-6)


def test_the_patience_of_a_plateau_is_more_than():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    rates = []
    for _ in range(7):
        scheduler.step(1.0)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001])


def test_linear_starts_evenly_within_one_over_the_root():
    layer = nn.Linear(400, 300)
    for parameter in (layer.weight, layer.bias):
        array = parameter.detach().numpy()
        assert np.abs(array).max() <= 1 / 20
        assert np.abs(array).max() > 0.99 / 20
        assert abs(array.std() * 20 - 3**-0.5) < 0.04


# ---- Gradients -----------------------------------------------------------------------------------

MODULES = [
    nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.CELU(0.7), nn.SELU(),
    nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Softplus(2.0),
    nn.Softsign(), nn.Hardtanh(), nn.Hardsigmoid(), nn.Hardswish(), nn.ReLU6(), nn.LogSigmoid(),
    nn.Softmax(dim=1), nn.LogSoftmax(dim=1), nn.PReLU(3), nn.LayerNorm(3),
    nn.LayerNorm(3, bias=False), nn.LayerNorm((3,), elementwise_affine=False),
    nn.BatchNorm1d(3), nn.BatchNorm1d(3, bias=False), nn.BatchNorm1d(3, affine=False),
    nn.Linear(3, 2), nn.Identity(), nn.Flatten(), nn.Sequential(nn.Linear(3, 4), nn.ReLU()),
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_gradients_are_those_of_differences(module):
    module = copy.deepcopy(module).double()
    x = cosines(4, 3, at=0.1, dtype=np.float64).requires_grad_()
    weights = cosines(*module(x).shape, at=1, dtype=np.float64)

    def value():
        return (module(x) * weights).sum()

    value().backward()
    for leaf in (x, *module.parameters()):
        expected, flat = np.empty(leaf.numel()), leaf.data
        for i, place in enumerate(np.ndindex(*leaf.shape)):
            ends = []
            for step in (1e-6, -1e-6):
                before = flat[place].item()
                flat[place] = before + step
                ends.append(value().item())
                flat[place] = before
            expected[i] = (ends[0] - ends[1]) / 2e-6
        close(leaf.grad.flatten(), expected, rtol=1e-5, atol=1e-8)


def test_a_pass_goes_back_in_the_mode_of_its_forward():
    norm = nn.BatchNorm1d(3)
    x = cosines(4, 3).requires_grad_()
    weights = cosines(4, 3, at=1)
    (norm.eval()(x) * weights).sum().backward()
    alone = x.grad.clone()
    x.grad = None
    y = norm(x)
    norm.train()(cosines(4, 3, at=2))
    norm.running_var.fill_(1)
    (y * weights).sum().backward()
    assert torch.equal(x.grad, alone)


def test_gradients_add_up_until_they_are_forgotten():
    layer = nn.Linear(3, 2)
    x = cosines(4, 3)
    assert layer.weight.grad is None
    layer(x).sum().backward()
    once = layer.weight.grad.clone()
    layer(x).sum().backward()
    close(layer.weight.grad, 2 * once.numpy())
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.abs().sum() == 0
    layer.zero_grad()
    assert layer.weight.grad is None
    layer(x).sum().backward()
    close(layer.weight.grad, once.numpy())


NETS = {
    "chain": lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)),
    "norms": lambda: nn.Sequential(
        nn.Linear(3, 5), nn.BatchNorm1d(5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 2)
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_several_forwards_may_wait_for_backward(name):
    net = NETS[name]()
    batches = [cosines(4, 3, at=i) for i in range(3)]
    apart = [np.zeros(p.shape, np.float32) for p in net.parameters()]
    for x in batches:
        net.zero_grad()
        (net(x) ** 2).sum().backward()
        for total, p in zip(apart, net.parameters(), strict=True):
            total += p.grad.numpy()
    net.zero_grad()
    outputs = [net(x) for x in batches]
    for y in (outputs[1], outputs[0], outputs[2]):
        (y**2).sum().backward()
    for total, p in zip(apart, net.parameters(), strict=True):
        close(p.grad, total, rtol=2e-5, atol=2e-5)


def by_modules(net):
    """The same parameters, each module an operation of its own."""

    def forward(x):
        for module in net:
            x = module(x)
        return x

    return forward


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_run_does_what_its_modules_do(dtype):
    net = nn.Sequential(
        nn.Linear(3, 5, bias=False), nn.BatchNorm1d(5), nn.LeakyReLU(0.2), nn.LayerNorm(5),
        nn.Linear(5, 4), nn.GELU("tanh"), nn.BatchNorm1d(4, bias=False), nn.Dropout(0.0),
        nn.Linear(4, 2),
    ).to(dtype)  # fmt: skip
    x = cosines(6, 3).to(dtype).requires_grad_()
    weights = cosines(6, 2, at=1).to(dtype)
    found = []
    for forward in (net, by_modules(net)):
        for train in (True, False):
            x.grad = None
            net.train(train).zero_grad()
            y = forward(x)
            (y * weights).sum().backward()
            found.append([y.detach(), x.grad.clone(), *(p.grad.clone() for p in net.parameters())])
        state = {name: value.clone() for name, value in net.state_dict().items()}
        found[-1] += [state["1.running_mean"] * 0, state["1.num_batches_tracked"]]
        net[1].reset_running_stats(), net[6].reset_running_stats()
    for together, apart in zip(found[:2], found[2:], strict=True):
        for a, b in zip(together, apart, strict=True):
            close(a, b.numpy(), rtol=2e-5 if dtype is torch.float32 else 1e-12, atol=1e-6)
    assert "SequentialBackward0" in repr(nn.Sequential(net[0], net[1])(x).grad_fn)
    net[2].negative_slope = 0.9
    close(net.eval()(x), by_modules(net)(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_gradients_of_a_compiled_run_go_where_they_belong():
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    x = cosines(5, 3)
    weight, bias = net[0].weight, net[2].bias
    net(x).sum().backward()
    once = [p.grad.clone() for p in net.parameters()]
    net(x).sum().backward()
    for p, g in zip(net.parameters(), once, strict=True):
        close(p.grad, 2 * g.numpy(), rtol=1e-5, atol=1e-6)
    (alone,) = torch.autograd.grad(net(x).sum(), weight)
    close(alone, once[0].numpy(), rtol=1e-5, atol=1e-6)
    close(weight.grad, 2 * once[0].numpy(), rtol=1e-5, atol=1e-6)
    bias.requires_grad_(False)
    net[0].bias.grad = None
    net(x).sum().backward()
    close(bias.grad, 2 * once[-1].numpy())
    close(net[0].bias.grad, once[1].numpy(), rtol=1e-5, atol=1e-6)
    net.zero_grad()
    bias.requires_grad_(True)
    handle = bias.register_hook(lambda g: g.mul(10) if isinstance(g, torch.Tensor) else None)
    (net(x).sum() + net(x).sum()).backward()
    close(bias.grad, 20 * once[-1].numpy())
    close(weight.grad, 2 * once[0].numpy(), rtol=1e-5, atol=1e-6)
    handle.remove()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(net(x).sum(), weight, create_graph=True)
    y = net(x).sum()
    with torch.no_grad():
        net[1].bias += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_a_module_used_twice_in_a_graph():
    layer = nn.Linear(3, 3)
    x = cosines(2, 3)
    layer(layer(x)).sum().backward()
    w, b, a = layer.weight.detach().numpy(), layer.bias.detach().numpy(), x.numpy()
    once = a @ w.T + b
    back = np.ones((2, 3), np.float32)
    close(layer.weight.grad, back.T @ once + (back @ w).T @ a, rtol=1e-5)


def test_second_derivatives():
    x = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.tanh(x).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    y = np.tanh([0.3, -0.7])
    close(bend, -2 * y * (1 - y**2), rtol=1e-12)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.mse_loss])
def test_second_derivatives_of_losses(loss):
    target = torch.tensor([0, 1]) if loss is F.cross_entropy else cosines(2, 3, dtype=np.float64)
    x = cosines(2, 3, at=1, dtype=np.float64).requires_grad_()
    weights = cosines(2, 3, at=2, dtype=np.float64)

    def slope():
        (g,) = torch.autograd.grad(loss(x, target), x, create_graph=True)
        return (g * weights).sum()

    slope().backward()
    with torch.no_grad():
        x[1, 2] += 1e-6
    above = slope().item()
    with torch.no_grad():
        x[1, 2] -= 2e-6
    assert x.grad[1, 2].item() == pytest.approx((above - slope().item()) / 2e-6, rel=1e-6)


def test_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.tensor([0.1]).dtype is torch.get_default_dtype() is torch.float64
        assert nn.Linear(2, 2)(torch.zeros(1, 2)).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_outputs_that_a_module_keeps_do_not_keep_it():
    norm = nn.BatchNorm1d(3)
    alive = weakref.ref(norm)
    norm.kept = norm(cosines(4, 3).requires_grad_())
    del norm
    gc.collect()
    assert alive() is None


def test_what_needs_no_gradient_has_none():
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    layer(cosines(4, 3)).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    with torch.no_grad():
        assert not layer(cosines(4, 3)).requires_grad
    with torch.inference_mode():
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    with torch.set_grad_enabled(False):
        assert not layer(cosines(4, 3)).requires_grad


def test_norm_of_zeros_has_gradient_zero():
    x = torch.zeros(3, requires_grad=True)
    x.norm().backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_a_long_graph_goes_without_recursion():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0


# ---- Optimizers ----------------------------------------------------------------------------------


def adam_by_hand(p, gradients, lr=0.1):
    m = v = t = 0
    for g in gradients:
        if g is None:
            continue
        t += 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= lr * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def test_a_parameter_without_gradient_is_not_stepped_and_counts_its_own_steps():
    gradients = [[0.5, -1.0, None, 0.25], [None, 0.5, 0.5, None], [1.0, None, None, 2.0]]
    ps = [nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in gradients]
    optimizer = torch.optim.Adam(ps, 0.1)
    for step in range(4):
        optimizer.zero_grad()
        for p, all_of_it in zip(ps, gradients, strict=True):
            if all_of_it[step] is not None:
                p.grad = torch.tensor([all_of_it[step]], dtype=torch.float64)
        optimizer.step()
    for p, all_of_it in zip(ps, gradients, strict=True):
        assert p.item() == pytest.approx(adam_by_hand(1.0, all_of_it), rel=1e-12)
    assert [int(s["step"]) for s in optimizer.state_dict()["state"].values()] == [3, 2, 2]


def test_settings_of_groups_may_change():
    p, q = (nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [p], "lr": 1.0}, {"params": q}], lr=0.5)
    p.grad, q.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert (p.item(), q.item()) == (0.0, 0.5)
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    optimizer.step()
    assert (p.item(), q.item()) == (-0.5, 0.25)
    optimizer.param_groups[1]["momentum"] = 0.5
    optimizer.param_groups[1].update(weight_decay=1.0)
    optimizer.step()
    assert (p.item(), q.item()) == (-1.0, 0.25 - 0.25 * 1.25)


def test_an_optimizer_goes_on_from_its_state():
    def steps(p, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            ((p - 3) ** 2).sum().backward()
            optimizer.step()

    for cls in (torch.optim.Adam, torch.optim.NAdam, torch.optim.RMSprop, torch.optim.Adadelta):
        p = nn.Parameter(torch.ones(2))
        first = cls([p])
        steps(p, first, 3)
        q = nn.Parameter(p.detach().clone())
        second = cls([q], lr=5.0)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        steps(p, first, 3)
        steps(q, second, 3)
        close(q, p.detach().numpy(), rtol=1e-6)


def test_a_copied_optimizer_steps_the_copied_parameters():
    p = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([p], 0.1)
    p.grad = torch.ones(2)
    optimizer.step()
    q, second = copy.deepcopy((p, optimizer))
    assert second.param_groups[0]["params"][0] is q
    third = pickle.loads(pickle.dumps(optimizer))
    (r,) = third.param_groups[0]["params"]
    for parameter, one in ((p, optimizer), (q, second), (r, third)):
        parameter.grad = torch.full((2,), 0.5)
        one.step()
    assert torch.equal(p, q)
    assert torch.equal(p, r)


def test_an_optimizer_of_ones_own():
    class Plain(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.data.add_(p.grad, alpha=-group["lr"])
                        self.state[p]["steps"] = self.state[p].get("steps", 0) + 1

    p = nn.Parameter(torch.ones(1))
    optimizer = Plain([p], 0.25)
    (p * p).sum().backward()
    optimizer.step()
    assert p.item() == 0.5
    assert optimizer.state_dict()["state"] == {0: {"steps": 1}}


def test_a_closure_is_computed_with_gradients():
    p = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], 0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert p.item() == 0.5


def test_what_was_computed_before_a_step_is_out_of_date():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    first, second = layer(cosines(1, 2)).sum(), layer(cosines(1, 2)).sum()
    first.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        second.backward()


# ---- Modules -------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        return self.head(self.body(x)) * self.scale


def test_names_of_what_is_in_a_module():
    net = Net()
    assert list(net.state_dict()) == [
        "scale", "seen", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias",
        "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked",
        "head.weight", "head.bias",
    ]  # fmt: skip
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    assert [name for name, _ in net.named_modules()][:3] == ["", "body", "body.0"]
    assert sum(p.numel() for p in net.parameters()) == 35
    assert net.get_submodule("body.1") is net.body[1]
    shared = nn.Linear(3, 3)
    assert len(list(nn.Sequential(shared, shared).parameters())) == 2


def test_modes():
    net = Net()
    x = cosines(6, 3)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert not net.body[3].training
    assert torch.equal(net(x), net(x))
    assert net.body[1].num_batches_tracked.item() == 2
    assert net.train() is net


def test_a_state_shares_memory_and_is_loaded_whole_or_not_at_all():
    net, other = Net(), Net()
    state = net.state_dict()
    net.head.bias.data.fill_(7)
    assert state["head.bias"].tolist() == [7, 7]
    state = {**copy.deepcopy(state), "head.weight": torch.zeros(3, 3)}
    before = other.head.bias.clone()
    with pytest.raises(RuntimeError, match=r"size mismatch for head.weight: .*\[3, 3\].*\[2, 4\]"):
        other.load_state_dict(state)
    assert torch.equal(other.head.bias, before)
    del state["head.weight"]
    state["more"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r'Missing key.*"head\.weight"') as error:
        other.load_state_dict(state)
    assert 'Unexpected key(s) in state_dict: "more"' in str(error.value)
    keys = other.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["head.weight"]
    assert keys.unexpected_keys == ["more"]
    assert other.head.bias.tolist() == [7, 7]


def test_copies_have_weights_of_their_own():
    net = Net().eval()
    x = cosines(5, 3)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), net(x))
        twin.body[0].weight.data.zero_()
        twin.body[1].bias.data.fill_(1)
        assert not torch.equal(twin(x), net(x))
        optimizer = torch.optim.SGD(twin.parameters(), 0.1)
        twin(x).sum().backward()
        before = twin.body[1].bias.clone()
        optimizer.step()
        assert not torch.equal(twin.body[1].bias, before)


def test_float64():
    net = Net().eval()
    x = cosines(5, 3)
    y = net(x)
    net.double()
    assert net.body[1].running_var.dtype == torch.float64
    close(net(x.double()).float(), y.detach().numpy(), rtol=1e-4, atol=1e-6)
    with pytest.raises(RuntimeError, match="must have the same dtype, but got Float and Double"):
        net(x)


def test_an_optimizer_of_replaced_parameters_says_so():
    net = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    optimizer = torch.optim.Adam(net.parameters())
    net(cosines(2, 3)).sum().backward()
    optimizer.step()
    net.double()
    net(cosines(2, 3).double()).sum().backward()
    with pytest.raises(RuntimeError, match="make the optimizer after"):
        optimizer.step()


def test_weights_may_be_shared():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    net = nn.Sequential(first, nn.Tanh(), second)
    assert len(list(net.parameters())) == 1
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    x = cosines(2, 3)
    w, h = (
        first.weight.detach().numpy().copy(),
        np.tanh(x.numpy() @ first.weight.detach().numpy().T),
    )
    net(x).sum().backward()
    optimizer.step()
    d_y = np.ones((2, 3), np.float32)
    expected = d_y.T @ h + ((d_y @ w) * (1 - h * h)).T @ x.numpy()
    close(second.weight, w - 0.1 * expected, rtol=1e-5)


def test_a_sequential_may_be_changed():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = cosines(1, 2)
    assert net(x).shape == (1, 3)
    net.append(nn.Linear(3, 4))
    assert net(x).shape == (1, 4)
    net[2] = nn.Linear(3, 5)
    assert net(x).shape == (1, 5)
    del net[1]
    assert list(net.state_dict())[-1] == "1.bias"
    net[1].register_forward_hook(lambda module, input, output: output * 0)
    assert net(x).abs().sum() == 0
    short = net[:1]
    assert short(x).shape == (1, 3)
    net[0].forward = lambda x: torch.ones(1, 3)
    assert short(x).tolist() == [[1, 1, 1]]
    del net[0].forward
    assert short(x).tolist() != [[1, 1, 1]]


def test_a_method_of_a_class_may_be_replaced(monkeypatch):
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    x = cosines(1, 2)
    before = net(x)
    with monkeypatch.context() as patch:
        patch.setattr(nn.Linear, "forward", lambda self, x: torch.ones(1, 2))
        assert net(x).tolist() == [[1, 1]]
    assert torch.equal(net(x), before)


def test_hooks():
    layer, seen = nn.Linear(2, 2), []
    before = layer.register_forward_pre_hook(lambda module, input: (input[0] * 0,))
    after = layer.register_forward_hook(lambda module, input, output: seen.append(output))
    y = layer(cosines(1, 2))
    assert torch.equal(y[0], layer.bias)
    assert seen[0] is y
    before.remove(), after.remove()
    assert not torch.equal(layer(cosines(1, 2))[0], layer.bias)
    assert len(seen) == 1


def test_dropout_keeps_the_mean_and_follows_the_seed():
    drop, x = nn.Dropout(0.25), torch.ones(100, 100)
    torch.manual_seed(3)
    first = drop(x)
    assert sorted(set(first.flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert abs(first.mean().item() - 1) < 0.02
    torch.manual_seed(3)
    assert torch.equal(drop(x), first)
    assert nn.Dropout(1.0)(x).sum() == 0
    assert nn.Dropout(0.0)(x) is x
    assert drop.eval()(x) is x


def test_layers_of_deepc_are_over_the_same_arrays():
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2)
    )
    x = cosines(8, 4)
    labels = np.arange(8) % 2
    layers = net.as_deepc()
    net.eval()
    layers[2].train = False
    close(net(x), layers.forward(x.numpy()), rtol=1e-6)
    before = net[1].weight.clone()
    deepc.fit(layers, x.numpy(), labels, loss=deepc.SoftmaxCrossEntropy("mean"),
              optimizer=deepc.Adam(0.1), epochs=2, progress=False)  # fmt: skip
    assert not torch.equal(net[1].weight, before)
    layers[2].train = False
    close(net.eval()(x), layers.forward(x.numpy()), rtol=1e-6)
    with pytest.raises(TypeError, match="a module with a forward of its own"):
        Net().as_deepc()


# ---- Tensors -------------------------------------------------------------------------------------


def test_memory_is_shared_as_in_torch():
    array = np.zeros((2, 3), np.float32)
    t = torch.from_numpy(array)
    t.view(-1)[0] = 1
    t[1] += 2
    t.T[2, 0] = 5
    assert array.tolist() == [[1, 0, 5], [2, 2, 2]]
    assert t.numpy() is array
    copied = torch.tensor(array)
    copied.zero_()
    assert array.sum() == 12


def test_products_of_any_memory():
    assert (torch.tensor([[1, 2]]) @ torch.tensor([[3], [4]])).tolist() == [[11]]
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    turned = torch.from_numpy(array[::-1, ::-1])
    assert (turned @ torch.eye(3)).tolist() == array[::-1, ::-1].tolist()
    layer = nn.Linear(3, 2)
    close(layer(turned), array[::-1, ::-1] @ layer.weight.detach().numpy().T
          + layer.bias.detach().numpy(), rtol=1e-5)  # fmt: skip
    layer(turned).sum().backward()
    close(layer.weight.grad, np.tile(array[::-1, ::-1].sum(0), (2, 1)))
    norm = nn.LayerNorm(3)
    close(norm(turned), norm(turned.clone().contiguous()).detach().numpy())
    with pytest.raises(RuntimeError, match="read-only"):
        torch.from_numpy(np.broadcast_to(np.float32(1), (2,))).zero_()


def test_updates_in_place_of_leaves_need_no_grad():
    w = torch.ones(2, requires_grad=True)
    (w * w).sum().backward()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
        w -= 0.1
    assert w.tolist() == [1, 1]
    with torch.no_grad():
        w -= 0.25 * w.grad
    assert w.tolist() == [0.5, 0.5]
    assert w.is_leaf
    w.data -= w.grad
    assert w.tolist() == [-1.5, -1.5]
    total = torch.zeros(())
    total += w.sum()
    total.backward()
    assert w.grad.tolist() == [3, 3]


def test_types():
    assert torch.tensor([1, 2]).dtype is torch.int64
    assert torch.tensor([1.0]).dtype is torch.float32
    assert torch.tensor(np.ones(1)).dtype is torch.float64
    assert (torch.tensor([1, 2]) / 2).dtype is torch.float32
    assert (torch.ones(1) > 0).dtype is torch.bool
    assert torch.zeros(1, dtype=torch.long).type() == "torch.LongTensor"
    assert torch.ones(1).to("cpu").to(torch.float64).dtype is torch.float64
    assert np.zeros(2, torch.float64.dtype).dtype == np.float64
    with pytest.raises(RuntimeError, match="on the CPU only"):
        torch.ones(1).to("cuda")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([2.0, 4.0], "tensor([2., 4.])"),
        ([[1.5, -2.0], [1e-3, 100.0]],
         "tensor([[ 1.5000e+00, -2.0000e+00],\n        [ 1.0000e-03,  1.0000e+02]])"),
        ([1e-5, 1.0], "tensor([1.0000e-05, 1.0000e+00])"),
        (3, "tensor(3)"), (2.5, "tensor(2.5000)"), ([True, False], "tensor([ True, False])"),
        ([], "tensor([])"), ([1, -20, 300], "tensor([  1, -20, 300])"),
        ([float("inf"), 1.0], "tensor([inf, 1.])"),
    ],
)  # fmt: skip
def test_text(data, text):
    assert repr(torch.tensor(data)) == text


def test_text_of_what_is_more_than_numbers():
    x = torch.tensor([1.0], requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2.], grad_fn=<MulBackward0>)"
    assert repr(F.cross_entropy(x[None], torch.tensor([0])).grad_fn) == "<NllLossBackward0>"
    assert repr(torch.zeros(0, 3)) == "tensor([], size=(0, 3))"
    assert repr(torch.ones(1, dtype=torch.float64)) == "tensor([1.], dtype=torch.float64)"
    assert repr(nn.Parameter(torch.ones(1))).startswith("Parameter containing:\ntensor([1.], ")
    assert repr(torch.zeros(2, 3).shape) == "torch.Size([2, 3])"
    shortened = repr(torch.arange(2000))
    assert shortened == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"


def test_random_numbers_follow_the_seed():
    def drawn():
        torch.manual_seed(5)
        return [torch.rand(3), torch.randn(3), torch.randint(0, 9, (5,)), torch.randperm(6),
                nn.Linear(2, 2).weight, torch.multinomial(torch.tensor([0.0, 1.0, 3.0]), 4, True),
                torch.bernoulli(torch.full((4,), 0.5))]  # fmt: skip

    for one, other in zip(drawn(), drawn(), strict=True):
        assert torch.equal(one, other)
    assert sorted(torch.randperm(6).tolist()) == list(range(6))
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(2, generator=generator)
    assert torch.equal(first, torch.rand(2, generator=torch.Generator().manual_seed(1)))
    assert 0 not in torch.multinomial(torch.tensor([0.0, 1.0, 3.0]), 2).tolist()


# ---- Words ---------------------------------------------------------------------------------------

LAYER = nn.Linear(3, 2)
WORDS = [
    (lambda: LAYER(torch.zeros(2, 4)), RuntimeError,
     "mat1 and mat2 shapes cannot be multiplied (2x4 and 3x2)"),
    (lambda: LAYER(torch.zeros(2, 3).double()), RuntimeError,
     "mat1 and mat2 must have the same dtype, but got Double and Float"),
    (lambda: LAYER(np.zeros((2, 3), np.float32)), TypeError, "must be Tensor, not ndarray"),
    (lambda: F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3])), IndexError,
     "Target 3 is out of bounds."),
    (lambda: nn.CrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([0.0, 1.0])), RuntimeError,
     "expected target dtype to be Long or Byte, but got Float"),
    (lambda: nn.CrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([0, 1, 2])), ValueError,
     "Expected input batch_size (2) to match target batch_size (3)."),
    (lambda: nn.CrossEntropyLoss()(np.zeros((2, 3)), torch.tensor([0, 1])), TypeError,
     "cross_entropy(): argument 'input' (position 1) must be Tensor, not ndarray"),
    (lambda: torch.zeros(2, requires_grad=True).backward(), RuntimeError,
     "grad can be implicitly created only for scalar outputs"),
    (lambda: torch.zeros(1).backward(), RuntimeError,
     "element 0 of tensors does not require grad and does not have a grad_fn"),
    (lambda: torch.zeros(1, requires_grad=True).numpy(), RuntimeError,
     "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."),
    (lambda: torch.optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda: torch.optim.SGD([LAYER.weight, LAYER.weight]), ValueError,
     "some parameters appear in more than one parameter group"),
    (lambda: torch.optim.Adam([LAYER.weight], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: torch.zeros(3, 2).t().view(6), RuntimeError, "Use .reshape(...) instead."),
    (lambda: torch.zeros(6).view(4, 2), RuntimeError,
     "shape '[4, 2]' is invalid for input of size 6"),
    (lambda: nn.Module()(1), NotImplementedError,
     'Module [Module] is missing the required "forward" function'),
    (lambda: nn.BatchNorm1d(3)(torch.zeros(1, 3)), ValueError,
     "Expected more than 1 value per channel when training"),
    (lambda: torch.stack([torch.zeros(2), torch.zeros(3)]), RuntimeError,
     "stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1"),
    (lambda: F.embedding(torch.tensor([3]), torch.zeros(3, 2)), IndexError, "index out of range"),
    (lambda: nn.Linear(0, 2), ValueError, "in_features: expected at least 1, got 0"),
    (lambda: nn.ReLU(2, 3), TypeError, "takes at most"),
    (lambda: nn.MSELoss(reduce=False), TypeError, "the nearest is reduction"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "kind", "words"), WORDS, ids=[w for _, _, w in WORDS])
def test_words(act, kind, words):
    with pytest.raises(kind) as error:
        act()
    assert words in str(error.value)


def test_a_graph_is_freed_by_backward_unless_it_is_retained():
    x = torch.ones(1, requires_grad=True)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.item() == 4
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        loss.backward()
    shared = x * x
    shared.sum().backward()
    with pytest.raises(RuntimeError, match="a second time"):
        (shared + 1).sum().backward()
    assert x.grad.item() == 6


def test_sizes_that_differ_are_broadcast_with_a_warning():
    with pytest.warns(UserWarning, match="different to the input size"):
        assert F.mse_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([1.0, 2.0])).item() == 3.5


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (torch.ones(1), "half", "nearest is Tensor.float()"),
        (torch.ones(1), "reshap", "did you mean 'reshape'?"),
        (torch, "compile", "nearest is the model itself"),
        (torch, "randnn", "did you mean 'randn'?"),
        (nn, "Conv2d", "nearest is nn.Flatten and nn.Linear"),
        (nn, "Liner", "did you mean 'Linear'?"),
        (F, "conv2d", "nearest is linear over flattened images"),
        (F, "cross_entropyy", "did you mean 'cross_entropy'?"),
        (torch.optim, "LBFGS", "nearest is optim.Adam"),
        (lr_scheduler, "StepLr", "did you mean 'StepLR'?"),
        (nn.init, "xavier_uniform", "nearest is init.xavier_uniform_"),
        (nn.utils, "clip_grad_norm", "nearest is clip_grad_norm_"),
    ],
)
def test_what_is_not_there_names_what_is(module, name, words):
    with pytest.raises(AttributeError) as error:
        getattr(module, name)
    assert words in str(error.value)


# ---- Files ---------------------------------------------------------------------------------------


def test_files(tmp_path):
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    net(cosines(4, 3)).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(),
                  "losses": [0.5, math.inf], "note": ("a", None, True)}  # fmt: skip
    torch.save(checkpoint, tmp_path / "all.pt")
    found = torch.load(tmp_path / "all.pt", map_location="cpu")
    assert found["losses"] == [0.5, math.inf]
    assert found["note"] == ("a", None, True)
    other = Net()
    other.load_state_dict(found["model"])
    again = torch.optim.Adam(other.parameters())
    again.load_state_dict(found["optimizer"])
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
        q.grad = p.grad
    optimizer.step(), again.step()
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_state_dict_is_a_plain_safetensors_file():
    net, file = Net(), io.BytesIO()
    torch.save(net.state_dict(), file)
    arrays, metadata = read_tensors(file.getvalue())
    assert metadata["format"] == "pt"
    assert set(arrays) == set(net.state_dict())
    assert arrays["head.weight"].shape == (2, 4)
    assert (arrays["head.weight"] == net.head.weight.detach().numpy()).all()


def test_files_hold_no_objects_and_pickles_are_not_read(tmp_path):
    with pytest.raises(TypeError, match=r"(?s)obj\.net: expected Tensors, .*of a Module save its"):
        torch.save({"net": Net()}, tmp_path / "net.pt")
    assert not (tmp_path / "net.pt").exists()
    (tmp_path / "theirs.pt").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ValueError, match="a pickle that torch itself wrote"):
        torch.load(tmp_path / "theirs.pt")


# ---- A program -----------------------------------------------------------------------------------


def test_a_usual_program_learns():
    torch.manual_seed(1)
    x = torch.randn(200, 2)
    y = (x[:, 0] * x[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = criterion(model(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(x).argmax(dim=1) == y).float().mean()
    assert accuracy > 0.95
    assert f"{loss:.1f}" == "0.0"
