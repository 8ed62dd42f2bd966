"""The same network and its training in the words of each peer.

Every peer's code is what its documentation advises for speed on a CPU: preallocated or donated
buffers, fused optimizers, compiled steps, no copy back to Python before the end. Each class yields
the contestants for `forward` of one input, for `steps` call by call, and for an `epoch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from peers.onnx_file import dense_network
from peers.race import Contestant
from peers.rules import Rule, torch_optimizers

# Steps that all peers take before their outputs are compared: enough to meet every part of the
# work, few enough that roundings have not grown (Adam makes much of those of gradients near 0).
CHECKED_STEPS = 10


@dataclass(frozen=True)
class Work:
    """A network, a batch size and a rule; and what the project aims at, in microseconds."""

    widths: tuple[int, ...]
    activation: str
    batch: int
    rule: Rule
    steps: int
    aim: float | None
    # ... and the least ratio to peers.
    aim_ratio: str = ""
    # The folder of MNIST's files, where rows are its images (0 to 1), not random numbers.
    mnist: str = ""

    def __str__(self) -> str:
        widths = "-".join(map(str, self.widths))
        rule = f", {self.rule.name}" if self.steps > 1 else ""
        return f"{widths} {self.activation}, batch {self.batch}{rule}"

    def flops(self, training: bool) -> float:
        """Return the floating-point operations of a step: no gradient of the input is needed."""
        sizes = [a * b for a, b in pairwise(self.widths)]
        return 2.0 * self.batch * (3 * sum(sizes) - sizes[0] if training else sum(sizes))

    def params(self) -> list[Any]:
        """Return weights (inputs x outputs) and biases in turn, always the same."""
        rng = np.random.default_rng(1)
        params = []
        for inputs, outputs in pairwise(self.widths):
            params.append(rng.normal(0, (2 / (inputs + outputs)) ** 0.5, (inputs, outputs)))
            params.append(rng.normal(0, 0.1, outputs))
        return [param.astype(np.float32) for param in params]

    def data(self) -> tuple[Any, Any, Any]:
        """Return rows, their labels, and these as one-hot targets."""
        rows = self.steps * self.batch
        if self.mnist:
            from deepc.datasets import raw_mnist

            (images, labels), _ = raw_mnist(self.mnist)
            x = images[:rows].reshape(rows, -1) / np.float32(255)
            return x, labels[:rows].astype(int), np.eye(10, dtype=np.float32)[labels[:rows]]
        rng = np.random.default_rng(2)
        x = rng.uniform(-1, 1, (rows, self.widths[0])).astype(np.float32)
        labels = rng.integers(0, self.widths[-1], rows)
        return x, labels, np.eye(self.widths[-1], dtype=np.float32)[labels]


class Deepc:
    """The network in deepc."""

    def __init__(self, peers: Any, work: Work) -> None:
        deepc = peers.deepc
        params = work.params()
        layers = []
        for w, b in zip(params[::2], params[1::2], strict=True):
            layer = deepc.Linear(*w.shape)
            layer.w, layer.b = w.T, b
            layers += [layer, getattr(deepc, work.activation.capitalize())()]
        self.net = deepc.Sequential(layers[:-1])
        self.loss = deepc.SoftmaxCrossEntropy("sum" if work.batch == 1 else "mean")
        self.optimizer = work.rule.deepc(deepc)
        self.deepc, self.work = deepc, work

    def forward(self, x: Any) -> Iterator[Contestant]:
        yield Contestant("deepc", "net.forward(x)", {"net": self.net, "x": x})

    CODE = """\
total = 0.0
for x, y in pairs:
    predicted = net.forward(x)
    total += loss.loss(predicted, y)
    gradient = loss.gradient(predicted, y)
    net.backward(gradient)
    optimizer.step(net)"""

    def steps(self, pairs: list[Any], labels: list[Any], probe: Any) -> Iterator[Contestant]:
        names = {"net": self.net, "loss": self.loss, "optimizer": self.optimizer, "pairs": pairs}
        names["probe"] = probe
        result = f"{self.CODE}\nnet.forward(probe)"
        few = {"pairs": pairs[:CHECKED_STEPS]}
        yield Contestant("deepc", self.CODE, names, result, len(pairs), few=few)

    EPOCH = "fit(net, x, y, loss=loss, optimizer=optimizer, batch_size=batch, progress=False)"

    def epoch(self, x: Any, labels: Any, targets: Any, probe: Any) -> Iterator[Contestant]:
        names = {"fit": self.deepc.fit, "net": self.net, "x": x, "y": labels, "loss": self.loss}
        names |= {"optimizer": self.optimizer, "batch": self.work.batch, "probe": probe}
        rows = CHECKED_STEPS * self.work.batch
        few = {"x": x[:rows], "y": labels[:rows]}
        result = f"{self.EPOCH}\nnet.forward(probe)"
        yield Contestant("deepc", self.EPOCH, names, result, self.work.steps, few=few)


class NumPy:
    """The network in NumPy."""

    def __init__(self, peers: Any, work: Work) -> None:
        self.params = work.params()
        self.update = work.rule.numpy(self.params)
        self.tanh = work.activation == "tanh"
        self.work = work

    def activations(self, x: Any) -> list[Any]:
        kept = [x]
        last = len(self.params) - 2
        for i in range(0, last + 2, 2):
            x = x @ self.params[i]
            x += self.params[i + 1]
            if i < last:
                x = np.tanh(x, x) if self.tanh else np.maximum(x, 0, x)
            kept.append(x)
        return kept

    def outputs(self, x: Any) -> Any:
        return self.activations(x)[-1]

    def step(self, x: Any, y: Any) -> float:
        kept = self.activations(x)
        out = kept[-1]
        out -= out.max(1, keepdims=True)
        exps = np.exp(out)
        sums = exps.sum(1, keepdims=True)
        loss = float(np.log(sums).sum() - (out * y).sum())
        d = exps / sums
        d -= y
        d /= len(x)
        grads = []
        for i in range(len(self.params) - 2, -1, -2):
            h = kept[i // 2]
            grads += [d.sum(0), h.T @ d]
            if i:
                d = d @ self.params[i].T
                d *= 1 - h * h if self.tanh else h > 0
        self.update(grads[::-1])
        return loss

    def forward(self, x: Any) -> Iterator[Contestant]:
        yield Contestant("NumPy", "outputs(x)", {"outputs": self.outputs, "x": np.atleast_2d(x)})

    CODE = "total = 0.0\nfor x, y in pairs:\n    total += step(x, y)"

    def steps(self, pairs: list[Any], labels: list[Any], probe: Any) -> Iterator[Contestant]:
        pairs = [(np.atleast_2d(x), np.atleast_2d(y)) for x, y in pairs]
        names = {"step": self.step, "pairs": pairs, "outputs": self.outputs, "probe": probe}
        few = {"pairs": pairs[:CHECKED_STEPS]}
        result = f"{self.CODE}\noutputs(probe)"
        yield Contestant("NumPy", self.CODE, names, result, len(pairs), few=few)

    def epoch(self, x: Any, labels: Any, targets: Any, probe: Any) -> Iterator[Contestant]:
        b = self.work.batch
        pairs = [(x[i : i + b], targets[i : i + b]) for i in range(0, len(x), b)]
        yield from self.steps(pairs, [], probe)


class PyTorch:
    """The network in PyTorch, eager and compiled."""

    def __init__(self, peers: Any, work: Work) -> None:
        self.torch, self.work = peers.torch, work
        self.compiles = peers.compiles

    def model(self) -> Any:
        torch = self.torch
        params = self.work.params()
        layers: list[Any] = []
        for w, b in zip(params[::2], params[1::2], strict=True):
            layer = torch.nn.Linear(*w.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(w.T))
                layer.bias.copy_(torch.from_numpy(b))
            layers += [
                layer,
                torch.nn.Tanh() if self.work.activation == "tanh" else torch.nn.ReLU(),
            ]
        return torch.nn.Sequential(*layers[:-1])

    def forward(self, x: Any) -> Iterator[Contestant]:
        torch = self.torch
        names = {"model": self.model().eval(), "x": torch.from_numpy(np.atleast_2d(x))}
        yield Contestant("PyTorch", "model(x)", names, around=torch.inference_mode)
        if self.compiles:
            torch._dynamo.reset()
            names = {**names, "model": torch.compile(names["model"], dynamic=False)}
            yield Contestant("PyTorch, compiled", "model(x)", names, around=torch.inference_mode)

    CODE = """\
total = 0.0
for x, y in pairs:
    optimizer.zero_grad()
    value = loss(x, y)
    value.backward()
    optimizer.step()
    total += value.detach()"""

    def steps(self, pairs: list[Any], labels: list[Any], probe: Any) -> Iterator[Contestant]:
        torch = self.torch
        pairs = [
            (torch.from_numpy(np.atleast_2d(x)), torch.from_numpy(np.atleast_1d(label)))
            for (x, _), label in zip(pairs, labels, strict=True)
        ]
        cross_entropy = torch.nn.functional.cross_entropy
        for compiled in (False, True) if self.compiles else (False,):
            model = self.model()

            def loss(x: Any, y: Any, model: Any = model) -> Any:
                return cross_entropy(model(x), y)

            optimizer = next(iter(torch_optimizers(torch, self.work.rule).values()))
            if compiled:
                torch._dynamo.reset()
            names = {
                "loss": torch.compile(loss, dynamic=False) if compiled else loss,
                "optimizer": optimizer(model.parameters()), "pairs": pairs,
                "model": model, "probe": torch.from_numpy(probe),
            }  # fmt: skip
            few = {"pairs": pairs[:CHECKED_STEPS]}
            yield Contestant(
                "PyTorch, compiled" if compiled else "PyTorch", self.CODE, names,
                f"{self.CODE}\nmodel(probe)", len(pairs), few=few,
            )  # fmt: skip

    def epoch(self, x: Any, labels: Any, targets: Any, probe: Any) -> Iterator[Contestant]:
        b = self.work.batch
        starts = range(0, len(x), b)
        pairs = [(x[i : i + b], targets[i : i + b]) for i in starts]
        yield from self.steps(pairs, [labels[i : i + b] for i in starts], probe)


class Jax:
    """The network in JAX: jitted call by call with donated state, and an epoch as one scan."""

    def __init__(self, peers: Any, work: Work) -> None:
        self.jax, self.work = peers.jax, work
        jax, jnp = self.jax, self.jax.numpy
        act = jnp.tanh if work.activation == "tanh" else jax.nn.relu

        def outputs(params: Any, x: Any) -> Any:
            for i in range(0, len(params), 2):
                x = x @ params[i] + params[i + 1]
                if i < len(params) - 2:
                    x = act(x)
            return x

        def loss(params: Any, x: Any, y: Any) -> Any:
            return -(jax.nn.log_softmax(outputs(params, x)) * y).sum() / (x.size // x.shape[-1])

        update = work.rule.jax(jax)

        def step(held: Any, x: Any, y: Any) -> Any:
            inner, total = held
            value, grads = jax.value_and_grad(loss)(inner[0], x, y)
            return update(inner, grads), total + value

        def epoch(held: Any, xs: Any, ys: Any) -> Any:
            return jax.lax.scan(lambda held, xy: (step(held, *xy), None), held, (xs, ys))[0]

        self.outputs = jax.jit(outputs)
        self.step = jax.jit(step, donate_argnums=0)
        self.scan = jax.jit(epoch, donate_argnums=0)

    def kept(self) -> list[Any]:
        params = [self.jax.numpy.array(param) for param in self.work.params()]
        state = self.work.rule.jax_state(self.jax, params)
        return [((params, state), self.jax.numpy.zeros(()))]

    def forward(self, x: Any) -> Iterator[Contestant]:
        params = self.kept()[0][0][0]
        names = {"outputs": self.outputs, "params": params, "x": self.jax.numpy.asarray(x)}
        yield Contestant("JAX, jit", "outputs(params, x).block_until_ready()", names)

    CODE = """\
held = kept[0]
for x, y in pairs:
    held = step(held, x, y)
kept[0] = jax.block_until_ready(held)"""
    RESULT = "\noutputs(kept[0][0][0], probe)"

    def steps(self, pairs: list[Any], labels: list[Any], probe: Any) -> Iterator[Contestant]:
        pairs = [tuple(map(self.jax.numpy.asarray, pair)) for pair in pairs]
        names = {"step": self.step, "jax": self.jax, "pairs": pairs, "kept": self.kept()}
        names |= {"outputs": self.outputs, "probe": probe}
        few = {"pairs": pairs[:CHECKED_STEPS]}
        result = self.CODE + self.RESULT
        yield Contestant("JAX, jit", self.CODE, names, result, len(pairs), few=few)

    SCAN = "kept[0] = jax.block_until_ready(epoch(kept[0], xs, ys))"

    def epoch(self, x: Any, labels: Any, targets: Any, probe: Any) -> Iterator[Contestant]:
        steps, b = self.work.steps, self.work.batch
        xs, ys = (self.jax.numpy.asarray(a.reshape(steps, b, -1)) for a in (x, targets))
        names = {"epoch": self.scan, "jax": self.jax, "xs": xs, "ys": ys, "kept": self.kept()}
        names |= {"outputs": self.outputs, "probe": probe}
        few = {"xs": xs[:CHECKED_STEPS], "ys": ys[:CHECKED_STEPS]}
        yield Contestant("JAX, scan", self.SCAN, names, self.SCAN + self.RESULT, steps, few=few)
        pairs = list(zip(x.reshape(steps, b, -1), targets.reshape(steps, b, -1), strict=True))
        yield from self.steps(pairs, [], probe)


class OnnxRuntime:
    """The network in ONNX Runtime, forward only: called with arrays, and with bound buffers."""

    def __init__(self, peers: Any, work: Work) -> None:
        self.ort, self.work, self.threads = peers.onnxruntime, work, peers.threads

    def forward(self, x: Any) -> Iterator[Contestant]:
        x = np.atleast_2d(x)
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        model = dense_network(self.work.params(), self.work.activation, len(x))
        session = self.ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        names: dict[str, Any] = {"session": session, "x": x, "outputs": ["y"]}
        yield Contestant("ONNX Runtime", 'session.run(outputs, {"x": x})[0]', names)
        value = self.ort.OrtValue.ortvalue_from_numpy
        held_x, held_y = value(x), value(np.zeros((len(x), self.work.widths[-1]), np.float32))
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", held_x)
        binding.bind_ortvalue_output("y", held_y)
        names = {"session": session, "binding": binding, "x": x, "held_x": held_x, "held_y": held_y}
        code = "held_x.update_inplace(x)\nsession.run_with_iobinding(binding)\nheld_y.numpy()"
        yield Contestant("ONNX Runtime, bound", code, names)


class ScikitLearn:
    """The network in scikit-learn: epochs by partial_fit, with the rules that it has."""

    def __init__(self, peers: Any, work: Work) -> None:
        self.sklearn, self.work = peers.sklearn, work

    def epoch(self, x: Any, labels: Any, targets: Any, probe: Any) -> Iterator[Contestant]:
        from sklearn.neural_network import MLPClassifier

        work, rule = self.work, self.work.rule
        if rule.name == "RMSProp" or work.widths[-1] == 2:
            return  # no such rule; two classes make a network with one output there
        lr, momentum = rule.of("learning_rate"), rule.of("momentum")
        model = MLPClassifier(
            work.widths[1:-1], activation=work.activation, alpha=0.0, batch_size=work.batch,
            solver="adam" if rule.name == "Adam" else "sgd", shuffle=False, momentum=momentum,
            learning_rate_init=lr * (1 - momentum) if rule.name == "Momentum" else lr,
            nesterovs_momentum=False,
        )  # fmt: skip
        classes = np.arange(work.widths[-1])
        # The first call makes the parameters; then it gets ours, and its rule forgets.
        model.partial_fit(x[: work.batch], labels[: work.batch], classes=classes)
        params = work.params()
        arrays = [*model.coefs_, *model.intercepts_]
        for array, param in zip(arrays, params[::2] + params[1::2], strict=True):
            array[...] = param
        rule_state = model._optimizer
        for name in ("velocities", "ms", "vs"):
            for array in getattr(rule_state, name, []):
                array[...] = 0
        rule_state.t = 0
        model.t_ = 0
        code = "model.partial_fit(x, y)"
        rows = CHECKED_STEPS * work.batch
        names = {"model": model, "x": x, "y": labels, "probe": probe, "np": np}
        few = {"x": x[:rows], "y": labels[:rows]}
        # Logarithms of probabilities, which `_log_softmax` leaves as they are.
        result = f"{code}\nnp.log(model.predict_proba(probe))"
        # Its Adam adds epsilon before it corrects the averages, which tells at the first steps.
        tolerance = 5e-3 if rule.name == "Adam" else None
        yield Contestant(
            "scikit-learn", code, names, result, work.steps, few=few, tolerance=tolerance
        )


def members(peers: Any, work: Work) -> list[Any]:
    found: list[Any] = [Deepc(peers, work), NumPy(peers, work)]
    for module, cls in (
        ("torch", PyTorch), ("jax", Jax), ("onnxruntime", OnnxRuntime), ("sklearn", ScikitLearn),
    ):  # fmt: skip
        if getattr(peers, module):
            found.append(cls(peers, work))
    return found
