"""Functions of functions: gradients, products with Jacobians, Hessians.

All stand on one thing, `gradients`: a walk from results to chosen Tensors. The others call a
function with fresh leaves, so that derivatives inside derivatives cannot be confused. Inside such a
call every gradient is itself recorded, so they nest to any order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepc._c import tape
from deepc._c.tape import Node, values
from deepc._values import FLOAT64, default_dtype, describe
from deepc.autodiff import ops
from deepc.autodiff.tensor import Scalar, Tensor

__all__ = [
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "value_and_grad",
    "vjp",
]


# ---- Nested lists, tuples and dicts of arrays ----------------------------------------------------


def _flatten(tree: Any, found: list[Any]) -> Any:
    """Append the leaves of a structure to a list; return how to build it from others."""
    if isinstance(tree, dict):
        parts = {key: _flatten(value, found) for key, value in tree.items()}
        return lambda leaves: {key: part(leaves) for key, part in parts.items()}
    if isinstance(tree, (list, tuple)) and not _is_numbers(tree):
        rest = [_flatten(value, found) for value in tree]
        kind: Any = type(tree)
        if hasattr(tree, "_fields"):
            return lambda leaves: kind(*(part(leaves) for part in rest))
        return lambda leaves: kind([part(leaves) for part in rest])
    if tree is None:
        return lambda leaves: None
    place = len(found)
    found.append(tree)
    return lambda leaves: leaves[place]


def _is_numbers(tree: Any) -> bool:
    """Whether a list is one array: of numbers, or of lists of them."""
    if not tree:
        return False
    if all(isinstance(item, (int, float, np.number)) for item in tree):
        return isinstance(tree, list)
    return isinstance(tree, list) and all(
        isinstance(item, list) and _is_numbers(item) for item in tree
    )


# ---- The one engine ------------------------------------------------------------------------------


def gradients(
    ys: Any,
    xs: Any,
    seeds: Any = None,
    create_graph: bool = False,
    unused: str = "none",
) -> Any:
    """Return the gradients of results with respect to chosen Tensors; no `grad` is touched.

    Parameters
    ----------
    ys : Tensor, Scalar, or list of them
        Several results count as their sum.
    xs : Tensor, Scalar, or nested lists, tuples and dicts of them
        Leaves or results on the way to `ys`.
    seeds : array_like or Tensor, or list of them, optional
        The gradient of each result to start with, of its shape; ones if not given.
    create_graph : bool, optional
        Whether the gradients are Tensors that can be differentiated again.
    unused : {"none", "zeros", "raise"}, optional
        What an x gets that no y depends on.

    Returns
    -------
    ndarray, Tensor or float, in the structure of `xs`

    Examples
    --------
    >>> from deepc.autodiff import Tensor, gradients
    >>> x = Tensor([2.0], requires_grad=True)
    >>> (g,) = gradients(x * x * x, [x], create_graph=True)
    >>> gradients(g, x)
    array([12.], dtype=float32)
    """
    if unused not in ("none", "zeros", "raise"):
        raise ValueError(f"unused: expected 'none', 'zeros' or 'raise', got {describe(unused)}")
    leaves: list[Any] = []
    build = _flatten(xs, leaves)
    for i, x in enumerate(leaves):
        if not isinstance(x, Node):
            raise TypeError(f"xs: expected Tensors, got {describe(x)} at place {i}")
    results = list(ys) if isinstance(ys, (list, tuple)) else [ys]
    starts = list(seeds) if isinstance(ys, (list, tuple)) and seeds is not None else [seeds]
    if seeds is None:
        starts = [None] * len(results)
    if len(starts) != len(results):
        raise ValueError(f"seeds: expected {len(results)}, got {len(starts)}")
    for y in results:
        if not isinstance(y, Node):
            raise TypeError(f"ys: expected Tensors or Scalars, got {describe(y)}")
    targets = [x for x in leaves if x.requires_grad]
    with ops_are_written_down():
        found = tape.gradients(
            tuple(results), tuple(_start(s, y) for s, y in zip(starts, results, strict=True)),
            tuple(targets), create_graph,
        )  # fmt: skip
    rest = iter(found)
    return build([
        _or_unused(x, next(rest) if x.requires_grad else None, i, unused)
        for i, x in enumerate(leaves)
    ])  # fmt: skip


class ops_are_written_down:
    """Gradients are computed inside `no_grad` too; what they record is asked for explicitly."""

    def __enter__(self) -> None:
        self._before = tape.set_silent(False)

    def __exit__(self, *error: object) -> None:
        tape.set_silent(self._before)


def _start(given: Any, y: Any) -> Any:
    if given is None or isinstance(given, Node) or isinstance(y, Scalar):
        return given
    return tape.seed(given, y._data)


def _or_unused(x: Any, gradient: Any, i: int, unused: str) -> Any:
    if gradient is not None or unused == "none":
        return gradient
    if unused == "raise":
        reason = "does not depend on it" if x.requires_grad else "it does not require a gradient"
        raise ValueError(f"xs: no gradient at place {i}, shape {x.shape}: the result {reason}")
    return 0.0 if isinstance(x, Scalar) else np.zeros_like(x._data)


# ---- Calling a function with fresh leaves --------------------------------------------------------

_active = threading.local()


class _Call:
    """A function called with fresh leaves in the place of some arguments."""

    def __init__(self, f: Callable[..., Any], arguments: Sequence[Any], chosen: Sequence[int]):
        if not callable(f):
            raise TypeError(f"f: expected a function, got {describe(f)}")
        self.given: list[Any] = []
        builds = {i: _flatten(arguments[i], self.given) for i in chosen}
        self._builds = [builds[i] for i in chosen]
        # Inside another such call, or on somebody's graph, gradients are part of a graph too.
        self.nested = getattr(_active, "depth", 0) > 0 or any(
            isinstance(x, Node) and x.requires_grad for x in self.given
        )
        self.leaves = [_leaf(x) for x in self.given]
        fresh = list(arguments)
        for i in chosen:
            fresh[i] = builds[i](self.leaves)
        _active.depth = getattr(_active, "depth", 0) + 1
        try:
            with ops_are_written_down():
                self.value = f(*fresh)
        finally:
            _active.depth -= 1

    def build(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Put one result a leaf into the structures of the arguments."""
        return tuple(build(leaves) for build in self._builds)

    def gradients(self, y: Any, seed: Any = None, create: bool = False) -> list[Any]:
        """Return the gradients with respect to the leaves; zeros where there are none."""
        create = create or self.nested
        if not isinstance(y, Node) or not y.requires_grad:
            return [_zeros(x) for x in self.leaves]
        found: list[Any] = gradients([y], self.leaves, None if seed is None else [seed], create)
        return [_zeros(x) if g is None else g for x, g in zip(self.leaves, found, strict=True)]

    def finish(self, results: Sequence[Any]) -> list[Any]:
        """Return one result a leaf as the kind of thing that was given for it."""
        return [self._as_given(g, x) for g, x in zip(results, self.given, strict=True)]

    def _as_given(self, g: Any, x: Any) -> Any:
        if self.nested or isinstance(x, Node):
            return g if isinstance(g, Node) or isinstance(x, Scalar) else Tensor(g)
        g = g.data if isinstance(g, Node) else g
        return g.item() if isinstance(x, (int, float)) and np.ndim(g) == 0 else g


def _leaf(x: Any) -> Any:
    if isinstance(x, Node):
        if x.requires_grad:
            return x * 1.0 if isinstance(x, Scalar) else ops.alias(x)
        x = x.data
    if isinstance(x, (int, float)):
        return Tensor(np.asarray(x, FLOAT64), True)
    array = tape.convert(x)
    if array.dtype.kind != "f":
        array = array.astype(default_dtype())
    return Tensor(array, True)


def _zeros(x: Any) -> Any:
    return 0.0 if isinstance(x, Scalar) else np.zeros_like(x._data)


def _plain(y: Any, nested: bool) -> Any:
    """Return a value as the caller of a transform sees it."""
    if nested or not isinstance(y, Node):
        return y
    data = y.data
    return data.item() if np.ndim(data) == 0 and not isinstance(data, float) else data


def _numbers(argnums: Any, count: int) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not -count <= number < count:
            raise ValueError(f"argnums: {number} is not one of {count} positional arguments")
    return tuple(number % count for number in numbers)


def _only(found: tuple[Any, ...], argnums: Any) -> Any:
    return found[0] if isinstance(argnums, int) else found


def _check_single(y: Any, name: str) -> None:
    if isinstance(y, Node) and (isinstance(y, Scalar) or y.data.size == 1):
        return
    came = f"shape {y.shape}" if isinstance(y, Node) else describe(y)
    if not isinstance(y, Node) and isinstance(y, (int, float)):
        return
    raise ValueError(
        f"{name}: f has to return one number (a Tensor of one element), got {came}; jacobian() and "
        "vjp() take more"
    )


# ---- Gradients -----------------------------------------------------------------------------------


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        Returns one number: a Tensor of one element; with `has_aux` a pair of that and anything.
    argnums : int or sequence of int, optional
        Which positional arguments to differentiate by: arrays, Tensors or numbers, or nested lists,
        tuples and dicts of them.
    has_aux : bool, optional
        Whether `f` returns something beside the number.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import value_and_grad
    >>> value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))
    """

    def differentiated(*arguments: Any) -> Any:
        call = _Call(f, arguments, _numbers(argnums, len(arguments)))
        y, aux = call.value if has_aux else (call.value, None)
        _check_single(y, "grad")
        found = _only(call.build(call.finish(call.gradients(y))), argnums)
        value = _plain(y, call.nested)
        return ((value, aux) if has_aux else value), found

    return differentiated


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the function that gives the gradient of `f`; parameters as for `value_and_grad`.

    Examples
    --------
    >>> from deepc.autodiff import grad
    >>> cube = lambda x: x**3
    >>> grad(cube)(2.0), grad(grad(cube))(2.0)
    (12.0, 12.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    def differentiated(*arguments: Any) -> Any:
        value, found = both(*arguments)
        return (found, value[1]) if has_aux else found

    return differentiated


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return f(*primals), and the function from its gradient to those of the primals.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import vjp
    >>> value, pullback = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    call = _Call(f, primals, range(len(primals)))

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = call.build(call.finish(call.gradients(call.value, cotangent)))
        return found

    return _plain(call.value, call.nested), pullback


def jvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return f(*primals) and how it changes along the tangents, by two passes back.

    Parameters
    ----------
    f : callable
    primals, tangents : sequence
        The arguments, and a direction for each.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import jvp
    >>> jvp(lambda x: x * x, (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    (array([1., 4.]), array([2., 0.]))
    """
    call = _Call(f, tuple(primals), range(len(primals)))
    directions = _directions(call, tuple(tangents))
    y = call.value
    if not isinstance(y, Node) or not y.requires_grad:
        return _plain(y, call.nested), np.zeros_like(values(y))
    # The pullback is linear in its argument: its slope by that, along the tangents, is the answer.
    v = Tensor(np.zeros_like(values(y)), True)
    back = call.gradients(y, v, create=True)
    used = [(g, t) for g, t in zip(back, directions, strict=True)
            if isinstance(g, Node) and g.requires_grad]  # fmt: skip
    tangent = None
    if used:
        tangent = gradients([g for g, _ in used], v, [t for _, t in used], call.nested)
    if tangent is None:
        tangent = np.zeros_like(v.data)
    return _plain(y, call.nested), tangent


def _directions(call: _Call, tangents: tuple[Any, ...]) -> list[Any]:
    found: list[Any] = []
    _flatten(tangents, found)
    if len(found) != len(call.leaves):
        raise ValueError(f"tangents: expected {len(call.leaves)} arrays, got {len(found)}")
    for i, (t, x) in enumerate(zip(found, call.leaves, strict=True)):
        if np.shape(t.data if isinstance(t, Node) else t) != x.shape:
            raise ValueError(f"tangents: expected shape {x.shape} at place {i}, got {np.shape(t)}")
    return [
        t if isinstance(t, Node) else np.asarray(t, x.dtype)
        for t, x in zip(found, call.leaves, strict=True)
    ]


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return the function that gives all slopes of `f`, of shape (*output, *input).

    One pass back for each element of the output, over one graph.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import jacobian
    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def differentiated(*arguments: Any) -> Any:
        call = _Call(f, arguments, _numbers(argnums, len(arguments)))
        y = call.value
        shape = values(y).shape
        rows = []
        for i in range(int(np.prod(shape, dtype=int))):
            seed = np.zeros(shape, values(y).dtype)
            seed.flat[i] = 1
            rows.append(call.gradients(y, seed))
        stacked = []
        for k, x in enumerate(call.leaves):
            parts = [row[k] for row in rows]
            if call.nested and parts:
                matrix = ops.stack([p if isinstance(p, Node) else Tensor(p) for p in parts])
            else:
                matrix = np.array(parts, x.dtype)
            stacked.append(ops.reshape(matrix, (*shape, *x.shape)))
        return _only(call.build(call.finish(stacked)), argnums)

    return differentiated


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that gives the second derivatives of `f`, of shape (*input, *input).

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import hessian
    >>> hessian(lambda x: x[0] * x[0] * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """Return the product of the Hessian of `f` with a direction, without making the Hessian.

    Parameters
    ----------
    f : callable
        Returns one number.
    primals, tangents : array_like, or tuple of several
        The arguments, and a direction for each.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import hvp
    >>> hvp(lambda x: (x * x * x).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    several = isinstance(primals, tuple)
    arguments = primals if several else (primals,)
    call = _Call(f, arguments, range(len(arguments)))
    _check_single(call.value, "hvp")
    directions = _directions(call, tangents if several else (tangents,))
    first = call.gradients(call.value, create=True)
    used = [(g, t) for g, t in zip(first, directions, strict=True)
            if isinstance(g, Node) and g.requires_grad]  # fmt: skip
    found: list[Any] = [None] * len(call.leaves)
    if used:
        found = gradients([g for g, _ in used], call.leaves, [t for _, t in used], call.nested)
    found = [_zeros(x) if g is None else g for x, g in zip(call.leaves, found, strict=True)]
    result = call.build(call.finish(found))
    return result if several else result[0]
