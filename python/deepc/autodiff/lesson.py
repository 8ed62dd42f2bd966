"""The lesson's engine: Function, Module, Neuron, Layer and MLP, as a notebook writes them out.

The same constructors draw the same weights from the same seed, and the same training loops run. A
Neuron by itself computes with Scalars. A Layer keeps its weights as arrays, so that a pass is one
product: its `neurons` are views on them, made when somebody looks.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from deepc._c import tape
from deepc._c.arrays import aligned_zeros
from deepc._c.tape import Node
from deepc._values import FLOAT64, Array, as_array, as_int, describe
from deepc.activations import Relu
from deepc.autodiff import bridges, ops
from deepc.autodiff.tensor import Parameter, Scalar, Tensor
from deepc.layers import Layer as BookLayer
from deepc.layers import Linear, Sequential

__all__ = ["MLP", "Add", "Function", "Layer", "Module", "Mul", "Neuron", "ReLU"]


# ---- Functions -----------------------------------------------------------------------------------


class Function(ABC):
    """An operation of your own, of Scalars and Tensors alike: subclass it and call `apply`.

    `forward` gets the inputs and returns a number or an array. `backward` gets the inputs and the
    output: it adds to the inputs' `grad` what `output.grad` makes of it. It finds zeros there, so
    that an input that is used twice, or a second `backward`, adds up rightly. Or it returns the
    gradients, one for each input.

    A gradient that is added to `grad` cannot be differentiated again; one that is returned can, if
    it is computed from the inputs and `output.grad` as Tensors.

    Examples
    --------
    >>> from deepc.autodiff import Function, Scalar
    >>> class Square(Function):
    ...     def forward(a):
    ...         return a.data * a.data
    ...     def backward(a, output):
    ...         a.grad += 2 * a.data * output.grad
    >>> x = Scalar(3.0)
    >>> y = Square.apply(x)
    >>> y.backward()
    >>> y.data, x.grad
    (9.0, 6.0)
    """

    @staticmethod
    @abstractmethod
    def forward(*inputs: Any) -> Any:
        """Return the number or array that comes out."""

    @staticmethod
    @abstractmethod
    def backward(*inputs: Any, output: Any) -> Any:
        """Add to the gradients of the inputs, or return them."""

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Return the operation's result: a Tensor if an argument is one or an array, else a Scalar.

        Parameters
        ----------
        *args : Scalar, Tensor, array or number
        """
        arrays = not all(isinstance(a, (Scalar, int, float)) for a in args)
        make: Any = Tensor if arrays else Scalar
        inputs = tuple([a if isinstance(a, Node) else make(a) for a in args])
        value = cast(Any, cls.forward)(*inputs)
        value = value.data if isinstance(value, Node) else value
        output = Tensor(np.asarray(value)) if arrays else Scalar(value)
        return tape.lent(output, inputs, cls.backward, cls.__name__)


class Add(Function):
    """The sum of two."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        """Return a + b."""
        a, b = inputs
        return a.data + b.data

    @staticmethod
    def backward(*inputs: Any) -> None:  # type: ignore[override]
        """Pass the gradient on to both."""
        a, b, output = inputs
        a.grad += 1.0 * output.grad
        b.grad += 1.0 * output.grad


class Mul(Function):
    """The product of two."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        """Return a b."""
        a, b = inputs
        return a.data * b.data

    @staticmethod
    def backward(*inputs: Any) -> None:  # type: ignore[override]
        """Give each the other times the gradient."""
        a, b, output = inputs
        a.grad += b.data * output.grad
        b.grad += a.data * output.grad


class ReLU(Function):
    """What is positive, else 0."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        """Return (a > 0) a."""
        (a,) = inputs
        return (a.data > 0) * a.data

    @staticmethod
    def backward(*inputs: Any) -> None:  # type: ignore[override]
        """Pass the gradient where a is positive."""
        a, output = inputs
        a.grad += (a.data > 0) * output.grad


# ---- Modules -------------------------------------------------------------------------------------


class Module(BookLayer):
    """Something with parameters to train: subclass it and define ``__call__``.

    Its parameters are found among its attributes: Parameters and Scalars, other Modules, layers of
    deepc, and lists, tuples and dicts of them. `parameters` may be overridden.

    A Module is a layer too. It may stand in a `Sequential`, an optimizer steps it, and `fit` trains
    it: then ``__call__`` gets a Tensor and has to return one.

    Examples
    --------
    >>> from deepc import Adam, SSE
    >>> from deepc.autodiff import Module, Parameter, Tensor
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Parameter([0.0]), Parameter([0.0])
    ...     def __call__(self, x):
    ...         return x * self.slope + self.offset
    >>> line, optimizer = Line(), Adam(0.1)
    >>> for _ in range(300):
    ...     loss = SSE()(line(Tensor([0.0, 1.0, 2.0])), [1.0, 3.0, 5.0])
    ...     line.zero_grad()
    ...     loss.backward()
    ...     optimizer.step(line)
    >>> line(Tensor([10.0])).data.round(1)
    array([21.], dtype=float32)
    """

    parameters_stay = True

    def __call__(self, x: Any) -> Any:
        """Return the output for an input."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")

    def parameters(self) -> list[Any]:
        """Return all parameters, each once."""
        return tape.collect(vars(self), _collect)

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0."""
        if not _zero_own(self, _parameters, _collect):
            tape.zero(self.parameters(), True)

    def scalars(self) -> list[Any]:
        """Return every single number that is trained: Scalars, or views on elements of arrays."""
        return [
            one for p in self.parameters() for one in (_views(p) if isinstance(p, Tensor) else [p])
        ]

    @property
    def size(self) -> int:
        """How many numbers are trained."""
        return sum(p.size if isinstance(p, Tensor) else 1 for p in self.parameters())

    # ---- As a layer ----

    def _leaves(self) -> list[Any]:
        found = self.parameters()
        for p in found:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: its parameters are Scalars, which a loop of yours "
                    "may train; optimizers and fit take arrays, as Layer and MLP have"
                )
        return found

    def forward(self, input: Any) -> Any:
        """Return the output for an array or list, as a layer does; keep what `backward` needs."""
        x = Tensor(as_array(input, "input"))
        x.requires_grad = True
        y = self(x)
        if not isinstance(y, Tensor):
            raise TypeError(
                f"{type(self).__name__}: expected its __call__ to return a Tensor for a Tensor, "
                f"got {describe(y)}"
            )
        self._pass = _Pass(x, y)
        return y.data.tolist() if isinstance(input, list) else y.data

    def backward(self, gradient: Any) -> Any:
        """Return the gradient of the last input; store those of the parameters."""
        last = self.__dict__.get("_pass")
        if last is None:
            raise RuntimeError("backward: call forward first")
        x, y = last.x, last.y
        tape.zero(self._leaves())
        x.grad = None
        y.backward(gradient)
        found = np.zeros_like(x.data) if x.grad is None else x.grad
        return found.tolist() if isinstance(gradient, list) else found

    def params(self) -> list[Any]:
        """Return the arrays of the parameters."""
        return [p.data for p in self._leaves()]

    def grads(self) -> list[Any]:
        """Return the gradients of the parameters; None for what is not trained."""
        leaves = self._leaves()
        for p in leaves:
            if p.requires_grad and p.grad is None:
                tape.adopt(p, np.zeros_like(p.data), False)
        return [p.grad if p.requires_grad else None for p in leaves]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_pass"}


# Names of this module are found faster than those of another, or of a class.
_parameters, _zero_own = Module.parameters, tape.zero_own


class _Pass:
    """The input and the result of the last pass, in which no parameters are looked for."""

    __slots__ = ("x", "y")

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y


def _collect(value: Any) -> list[Any]:
    """Return the parameters in what the tape does not know."""
    if isinstance(value, _View):
        return [value]
    return bridges.parameters(value) if isinstance(value, BookLayer) else []


# ---- Views on elements ---------------------------------------------------------------------------


class _View:
    """An element of a Parameter, as a Scalar: what is set on it is set in the array."""

    __slots__ = ("_place", "_tensor")

    def __init__(self, tensor: Any, place: int) -> None:
        self._tensor = tensor
        self._place = place

    @property
    def data(self) -> float:
        return float(self._tensor.data.item(self._place))

    @data.setter
    def data(self, value: float) -> None:
        array = self._tensor.data
        array.flat[self._place] = float(value)
        self._tensor.data = array  # which notes the change

    @property
    def grad(self) -> float:
        return float(self._tensor.grad.item(self._place))

    @grad.setter
    def grad(self, value: float) -> None:
        self._tensor.grad.flat[self._place] = float(value)

    def node(self) -> Any:
        """Return the element as a Scalar whose gradient goes into the array's."""
        return tape.item(self._tensor, self._place)

    def __repr__(self) -> str:
        return f"Scalar(data={self.data}, grad={self.grad})"

    def __float__(self) -> float:
        return self.data

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)


def _delegated(name: str) -> Callable[..., Any]:
    def method(self: _View, *arguments: Any) -> Any:
        others = [a.node() if isinstance(a, _View) else a for a in arguments]
        return getattr(self.node(), name)(*others)

    method.__name__ = name
    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "rpow",
              "neg", "pos", "abs", "lt", "le", "gt", "ge"):  # fmt: skip
    setattr(_View, f"__{_name}__", _delegated(f"__{_name}__"))
for _name in ("exp", "log", "tanh", "sigmoid", "relu", "item", "detach"):
    setattr(_View, _name, _delegated(_name))


def _views(tensor: Any) -> list[_View]:
    return [_View(tensor, place) for place in range(tensor.size)]


# ---- The lesson's network ------------------------------------------------------------------------


class Neuron(Module):
    """A weighted sum of Scalars and a bias, and what is positive of it.

    Parameters
    ----------
    nin : int
        Number of inputs. Weights are drawn by ``random.uniform(-1, 1)``; the bias starts at 0.
    nonlin : bool, optional
        Whether negative sums become 0.

    Examples
    --------
    >>> from deepc.autodiff import Neuron, Scalar
    >>> neuron = Neuron(2, nonlin=False)
    >>> neuron.w[0].data, neuron.w[1].data = 1.0, 2.0
    >>> neuron([Scalar(10.0), Scalar(20.0)])
    Scalar(data=50.0, grad=0.0)
    """

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        count = as_int(nin, "nin", least=1)
        self.w: list[Any] = [Scalar(random.uniform(-1, 1)) for _ in range(count)]
        self.b: Any = Scalar(0.0)
        self.nonlin = nonlin

    @classmethod
    def _over(cls, w: Sequence[Any], b: Any, nonlin: bool) -> Neuron:
        """Return a neuron of a layer, over the layer's arrays."""
        self = cls.__new__(cls)
        self.w, self.b, self.nonlin = list(w), b, nonlin
        return self

    def __call__(self, x: Sequence[Any]) -> Any:
        """Return the output for a list of Scalars or numbers."""
        if len(x) != len(self.w):
            raise ValueError(f"x: expected {len(self.w)} numbers, got {len(x)}")
        total = self.b
        for weight, one in zip(self.w, x, strict=True):
            total = total + weight * one
        return total.relu() if self.nonlin else total

    def parameters(self) -> list[Any]:
        """Return the weights and the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"Neuron({len(self.w)}{'' if self.nonlin else ', nonlin=False'})"


class Layer(Module):
    """Neurons over the same inputs.

    Parameters
    ----------
    nin : int
        Number of inputs.
    nout : int
        Number of neurons.
    nonlin : bool, optional
        Whether negative sums become 0.

    Attributes
    ----------
    w : Parameter of shape (nin, nout)
    b : Parameter of shape (nout,)
        Both of float64.
    neurons : list of Neuron
        Views: what is set on ``neurons[i].w[j]`` is set in `w`.
    """

    def __init__(self, nin: int, nout: int, nonlin: bool = True) -> None:
        nin, nout = as_int(nin, "nin", least=1), as_int(nout, "nout", least=1)
        w = aligned_zeros((nin, nout), FLOAT64)
        # Neuron by neuron, as single neurons would draw them.
        for column in w.T:
            column[...] = [random.uniform(-1, 1) for _ in range(nin)]
        self._own(w, aligned_zeros((nout,), FLOAT64), bool(nonlin))

    def _own(self, w: Array, b: Array, nonlin: bool) -> None:
        self.w, self.b = Parameter(w), Parameter(b)
        self.nonlin = nonlin
        self._neurons: list[Neuron] | None = None

    @property
    def neurons(self) -> list[Neuron]:
        """The neurons, as views on the arrays."""
        if self._neurons is None:
            nin, nout = self.w.shape
            weights, biases = _views(self.w), _views(self.b)
            self._neurons = [
                Neuron._over(weights[o : nin * nout : nout], biases[o], self.nonlin)
                for o in range(nout)
            ]
        return self._neurons

    def __call__(self, x: Any) -> Any:
        """Return the outputs: a list of Scalars for a list, a Tensor for a Tensor."""
        if isinstance(x, Tensor):
            y = ops.linear(x, self.w, self.b)
            return tape.relu_product(y) if self.nonlin else y
        return tape.spread(self(_gathered(x, self.w.shape[0])))

    def parameters(self) -> list[Any]:
        """Return the weights and the biases, as arrays; `scalars` are the single numbers."""
        return [self.w, self.b]

    def scalars(self) -> list[Any]:
        """Return views on every number, neuron by neuron."""
        return [one for neuron in self.neurons for one in neuron.parameters()]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_neurons": None}

    def __repr__(self) -> str:
        nin, nout = self.w.shape
        return f"Layer({nin}, {nout}{'' if self.nonlin else ', nonlin=False'})"


class MLP(Module):
    """Layers one after the other; all but the last one keep what is positive.

    Parameters
    ----------
    nin : int
        Number of inputs.
    nouts : list of int
        Number of neurons of each layer.

    Examples
    --------
    >>> import random
    >>> from deepc.autodiff import MLP, Scalar
    >>> random.seed(0)
    >>> model = MLP(2, [3, 1])
    >>> (output,) = model([Scalar(1.0), Scalar(-1.0)])
    >>> output.backward()
    >>> for p in model.parameters():
    ...     p.data -= 0.1 * p.grad
    >>> len(model.parameters()), len(model.scalars())
    (4, 13)
    """

    def __init__(self, nin: int, nouts: Iterable[int]) -> None:
        sizes = [nin, *nouts]
        if len(sizes) < 2:
            raise ValueError("nouts: expected at least one layer")
        last = len(sizes) - 2
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last) for i in range(last + 1)]
        self._chain: tuple[tuple[int, ...], Sequential] | None = None

    def __call__(self, x: Any) -> Any:
        """Return the outputs: a list of Scalars for a list, a Tensor for a Tensor."""
        if isinstance(x, Tensor):
            for layer in self.layers:
                x = layer(x)
            return x
        first = self.layers[0]
        # Between the layers there are arrays, so that a pass is a product for each.
        y = _gathered(x, first.w.shape[0])
        for layer in self.layers:
            y = layer(y)
        return tape.spread(y)

    def parameters(self) -> list[Any]:
        """Return the weights and biases of each layer, as arrays."""
        return [p for layer in self.layers for p in layer.parameters()]

    def _as_sequential(self) -> Sequential:
        """Return the same as deepc's own layers, over the same arrays: `fit` compiles it."""
        arrays = [*self.params(), *self.grads()]
        key = tuple(map(id, arrays))
        if self._chain is None or self._chain[0] != key:
            layers: list[BookLayer] = []
            for layer in self.layers:
                w, b = layer.w, layer.b
                layers.append(Linear.over(w.data.T, w.grad.T, b.data, b.grad))
                layers += [Relu()] if layer.nonlin else []
            self._chain = key, Sequential(layers)
        return self._chain[1]

    def scalars(self) -> list[Any]:
        """Return views on every number, neuron by neuron."""
        return [one for layer in self.layers for one in layer.scalars()]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_chain": None}

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __repr__(self) -> str:
        sizes = [layer.w.shape[1] for layer in self.layers]
        return f"MLP({self.layers[0].w.shape[0]}, {sizes})"


def _gathered(x: Any, expected: int) -> Any:
    """Return a list of Scalars and numbers as one Tensor."""
    if isinstance(x, np.ndarray):
        return Tensor(np.asarray(x, FLOAT64))
    items = [one.node() if isinstance(one, _View) else one for one in x]
    if len(items) != expected:
        raise ValueError(f"x: expected {expected} numbers, got {len(items)}")
    return tape.gather(items)
