"""What every optimizer is, and what the built-in ones share: settings, state, a step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypedDict, Unpack, cast

import numpy as np

from deepc._c import tape
from deepc._c.arrays import aligned_zeros_like
from deepc._c.library import check
from deepc._c.optimizer import (
    BAD_VALUE,
    CLIPS,
    NOT_TAKEN,
    NUMBERS,
    StepTensors,
    clip_arrays,
    copy_numbers,
    new_optimizer,
    states_of,
)
from deepc._values import (
    LARGEST,
    SMALLEST,
    Array,
    as_array,
    as_bool,
    as_float,
    as_int,
    check_part,
    describe,
    nearest,
)
from deepc.layers import Layer, _plan
from deepc.layers.sequential import has_fixed_parameters, leaves_of

__all__ = [
    "Around", "BuiltinOptimizer", "Optimizer", "Rate", "clip_gradients", "flag", "number",
]  # fmt: skip

# How many rates of a schedule are computed at once: of a few, nearly all time goes into the calls.
# Twice as many each time, because a schedule whose settings somebody changes needs no more of them.
_LEAST_AHEAD, _MOST_AHEAD = 256, 4096

# A learning rate: a number, or what gives one for each step, counted from 0.
Rate = float | Callable[[int], float]


class Optimizer:
    """Changes parameters, in place, by their gradients. Subclass it and define `step`.

    Examples
    --------
    >>> from deepc import Linear, Optimizer
    >>> class Half(Optimizer):
    ...     def step(self, layer):
    ...         for param in layer.params():
    ...             param[:] = 0.5 * param
    >>> layer = Linear(1, 1)
    >>> layer.w = [[1.0]]
    >>> Half().step(layer)
    >>> layer.w.tolist()
    [[0.5]]
    """

    def step(self, layer: Any) -> None:
        """Update the parameters of `layer` from its gradients."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


# ---- Settings ------------------------------------------------------------------------------------


class Around(TypedDict, total=False):
    """What may stand around any rule; see `BuiltinOptimizer`."""

    decoupled: bool
    no_decay: Iterable[int]
    maximize: bool
    clip_value: float | None
    clip_norm: float | None
    global_clip_norm: float | None
    clip_epsilon: float
    ema: float | None
    ema_period: int | None
    accumulation: int


AROUND: dict[str, Any] = {
    "decoupled": False, "no_decay": (), "maximize": False, "clip_value": None, "clip_norm": None,
    "global_clip_norm": None, "clip_epsilon": 0.0, "ema": None, "ema_period": None,
    "accumulation": 1,
}  # fmt: skip


def number(field: str, low: float, high: float, doc: str, name: str = "") -> Any:
    """Make a property of a number that the library reads; `name`: what users call it."""

    def get(self: Any) -> float:
        return cast(float, getattr(self._numbers, field))

    def set(self: Any, value: float) -> None:
        setattr(self._numbers, field, as_float(value, name or field, low, high))
        self._unbind()

    return property(get, set, doc=doc)


def flag(field: str, doc: str) -> Any:
    """Make a property of a setting that is on or off."""

    def get(self: Any) -> bool:
        return bool(getattr(self._numbers, field))

    def set(self: Any, value: bool) -> None:
        setattr(self._numbers, field, as_bool(value, field))
        self._unbind()

    return property(get, set, doc=doc)


def _clip(name: str, doc: str) -> Any:
    """Make a property of one of the ways to clip, of which one at most is in force."""

    def get(self: Any) -> float | None:
        numbers = self._numbers
        return cast(float, numbers.clip_limit) if numbers.clip == CLIPS[name] else None

    def set(self: Any, value: float | None) -> None:
        numbers = self._numbers
        if value is None:
            if numbers.clip == CLIPS[name]:
                numbers.clip = 0
            return
        limit = as_float(value, name, SMALLEST, LARGEST)
        other = next((key for key, kind in CLIPS.items() if numbers.clip == kind), name)
        if other != name:
            raise ValueError(f"{name}: {other} is set already, and only one of them can be")
        numbers.clip, numbers.clip_limit = CLIPS[name], limit

    return property(get, set, doc=doc)


def _arguments(optimizer: Any) -> Iterator[str]:
    """Yield the arguments that would make an optimizer of these settings."""
    # A class of this package, because a user's subclass may take other arguments.
    init = next(
        vars(cls)["__init__"]
        for cls in type(optimizer).__mro__
        if cls.__module__.startswith("deepc.optimizers.") and "__init__" in vars(cls)
    )
    code, defaults = init.__code__, {**AROUND, **(init.__kwdefaults__ or {})}
    for name in (*code.co_varnames[1 : code.co_argcount], *defaults):
        short = {"learning_rate": "lr", "momentum": "mo"}.get(name, name)  # the book's names
        value = getattr(optimizer, short if hasattr(optimizer, short) else name)
        if name == "learning_rate" and optimizer._schedule is not None:
            value = optimizer._schedule
        if name not in defaults or value != defaults[name]:
            yield f"{name}={value!r}"


def _settings(schedule: Any) -> Any:
    """Return all that decides the rates of a schedule, None where nobody knows."""
    decided_by = getattr(schedule, "decided_by", None)
    return decided_by() if decided_by else None


class BuiltinOptimizer(Optimizer):
    """An update rule of the library.

    `lr` may be changed at any time. What the rule remembers of the gradients so far belongs to the
    parameters in their order, so an optimizer serves one model.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or what gives it for the number of the step, from 0: a schedule of
        `deepc.schedules`, or any function.
    weight_decay : float, optional
        Adds ``weight_decay * p`` to the gradient; or, `decoupled`, shrinks the parameter instead:
        ``p -= lr * weight_decay * p`` before the rule.
    decoupled : bool, optional
    no_decay : iterable of int, optional
        The parameters without weight decay, by their place in ``layer.params()``.
    maximize : bool, optional
        Follow the gradient instead of going against it.
    clip_value, clip_norm, global_clip_norm : float, optional
        Hold each element of the gradient between ``-clip_value`` and ``clip_value``; or multiply
        the gradient of each parameter, or all gradients, by
        ``min(1, limit / (norm + clip_epsilon))``. One of them at most.
    clip_epsilon : float, optional
        0 as in Keras; PyTorch has 1e-6.
    ema : float, optional
        Keep averages of the parameters with this momentum: the parameter itself after the first
        step, then ``ema * average + (1 - ema) * p``; see `averages` and `take_averages`.
    ema_period : int, optional
        After so many steps, and each time again, the parameters become their averages.
    accumulation : int, optional
        Step only at each so many-th call, by the mean of the gradients since the last one.
    """

    _rule: str
    _unbound: tuple[Any, ...] = (None, None, None, None)
    # The rates of a schedule that are known: the schedule, its settings then, the first step.
    _ahead: tuple[Any, Any, int, Any] = (None, None, 0, ())

    weight_decay = number("weight_decay", 0.0, LARGEST, "The weight decay.")
    decoupled = flag("decoupled", "Whether weight decay is apart from the gradient.")
    maximize = flag("maximize", "Whether a step follows the gradient.")
    clip_value = _clip("clip_value", "The largest element of a gradient, or None.")
    clip_norm = _clip("clip_norm", "The largest norm of one gradient, or None.")
    global_clip_norm = _clip("global_clip_norm", "The largest norm of all gradients, or None.")
    clip_epsilon = number("clip_epsilon", 0.0, LARGEST, "What is added to a norm.")

    def __init__(self, learning_rate: Rate, **around: Unpack[Around]) -> None:
        self._numbers = new_optimizer(self._rule)
        self._memory: list[list[Array]] = []
        self._kept: tuple[str, ...] = ()
        self._schedule: Callable[[int], float] | None = None
        self._no_decay: tuple[int, ...] = ()
        self._bound = self._unbound
        self._stays = False  # whether the arrays of what is bound are always the same
        self._leaves: list[Any] = []  # of the tape, over those arrays
        self.lr = cast(float, learning_rate)
        self.accumulation = 1
        for name, value in around.items():
            if name not in AROUND:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"{name!r}{nearest(name, [*AROUND, *self._own_names()])}"
                )
            setattr(self, name, value)

    def _own_names(self) -> tuple[str, ...]:
        code = cast(Any, type(self).__init__).__code__
        return cast(
            tuple[str, ...], code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        )

    def __getstate__(self) -> dict[str, Any]:
        numbers = {name: getattr(self._numbers, name) for name in NUMBERS}
        state = {**self.__dict__, "_numbers": numbers, "_bound": self._unbound, "_leaves": []}
        state.pop("_ahead", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._numbers = new_optimizer(self._rule)
        for name, value in state["_numbers"].items():
            setattr(self._numbers, name, value)

    def __copy__(self) -> BuiltinOptimizer:
        # What it remembers belongs to how many steps it has taken, so both are copied or none.
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_arguments(self))})"

    def _unbind(self) -> None:
        """Look at the parameters again: other settings may need other tensors."""
        self._bound = self._unbound

    @property
    def lr(self) -> float:
        """The learning rate of the next step; assigning a number ends a schedule."""
        if self._schedule is not None:
            return self._rate(self.steps)
        return cast(float, self._numbers.learning_rate)

    @lr.setter
    def lr(self, value: Rate) -> None:
        if callable(value) and not hasattr(value, "__float__"):
            self._schedule = value
            self._rate(self.steps)
            self._unbind()
        else:
            self._numbers.learning_rate = as_float(value, "learning_rate", 0.0, LARGEST)
            if self._schedule is not None:
                self._schedule = None
                self._unbind()

    def _rate(self, step: int) -> float:
        schedule = cast(Any, self._schedule)
        rate = schedule(step) if _settings(schedule) is None else self._scheduled(int(step), 1)[0]
        return as_float(rate, "learning_rate", 0.0, LARGEST)

    def _scheduled(self, first: int, count: int) -> Array:
        """Return the rates of so many steps of the schedule, from one on.

        Where nothing but the settings decides, those of later steps are computed along and kept.
        """
        schedule = cast(Any, self._schedule)
        if not hasattr(schedule, "rates"):
            return np.array([self._rate(step) for step in range(first, first + count)], np.float64)
        settings = _settings(schedule)
        if settings is None:
            return cast(Array, schedule.rates(np.arange(first, first + count)))
        owner, known, begin, rates = self._ahead
        start, same = first - begin, owner is schedule and known == settings
        if not same or not 0 <= start <= len(rates) - count:
            many = max(count, min(2 * len(rates), _MOST_AHEAD) if same else _LEAST_AHEAD)
            with np.errstate(over="ignore"):  # which may be far behind the last step there will be
                rates = schedule.rates(np.arange(first, first + many))
            self._ahead = schedule, copy.deepcopy(settings), first, rates
            start = 0
        return cast(Array, rates[start : start + count].copy())

    def rates(self, count: int) -> Array | None:
        """Return the learning rates of the next `count` calls of `step`; None if they are the same.

        Parameters
        ----------
        count : int

        Returns
        -------
        ndarray of shape (count,) or None
            float64.
        """
        if self._schedule is None:
            return None
        first, each = int(self._numbers.waiting), self.accumulation
        if each == 1:
            return self._scheduled(self.steps, count)
        place = (np.arange(count) + first) // each
        return self._scheduled(self.steps, int(place.max(initial=-1)) + 1)[place]

    @property
    def no_decay(self) -> tuple[int, ...]:
        """The places of the parameters without weight decay."""
        return self._no_decay

    @no_decay.setter
    def no_decay(self, value: Iterable[int]) -> None:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError(f"no_decay: expected places of parameters, got {describe(value)}")
        places = {as_int(place, "no_decay", least=0) for place in value}
        self._no_decay = tuple(sorted(places))
        self._unbind()

    @property
    def ema(self) -> float | None:
        """The momentum of the averages of the parameters, or None."""
        numbers = self._numbers
        return cast(float, numbers.average_momentum) if numbers.average else None

    @ema.setter
    def ema(self, value: float | None) -> None:
        if value is not None:
            self._numbers.average_momentum = as_float(value, "ema", 0.0, 1.0)
        self._numbers.average = value is not None
        self._unbind()

    @property
    def ema_period(self) -> int | None:
        """After how many steps the parameters become their averages, or None."""
        return int(self._numbers.average_period) or None

    @ema_period.setter
    def ema_period(self, value: int | None) -> None:
        self._numbers.average_period = 0 if value is None else as_int(value, "ema_period", least=1)

    @property
    def accumulation(self) -> int:
        """How many gradients make a step."""
        return int(self._numbers.accumulation)

    @accumulation.setter
    def accumulation(self, value: int) -> None:
        self._numbers.accumulation = as_int(value, "accumulation", least=1)
        self._unbind()

    @property
    def steps(self) -> int:
        """How many steps it has taken."""
        return cast(int, self._numbers.steps)

    @property
    def averages(self) -> list[Array]:
        """The averages of the parameters, empty before the first step or without `ema`."""
        return self._remembered("average")

    def take_averages(self, layer: Layer) -> None:
        """Copy the averages into the parameters, as Keras does at the end of a training."""
        averages = self.averages
        params = list(layer.params())
        if len(averages) != len(params):
            raise ValueError(
                f"take_averages: {len(averages)} averages, but {len(params)} parameters"
            )
        for param, average in zip(params, averages, strict=True):
            cast(Any, param)[:] = average.tolist() if isinstance(param, list) else average

    def _remembered(self, name: str) -> list[Array]:
        if name not in self._kept:
            return []
        return [states[self._kept.index(name)] for states in self._memory]

    @property
    def _states(self) -> tuple[str, ...]:
        """The tensors that the rule with these settings keeps beside each parameter."""
        return states_of(self._numbers)

    # ---- A step ----------------------------------------------------------------------------------

    def step(self, layer: Layer) -> None:
        """Update the parameters of `layer` from its gradients, all in one call.

        Parameters
        ----------
        layer : Layer
            A layer or a whole model, or anything that has `params` and `grads`. Arrays of float32
            or float64 that stay where they are cost nothing more than the built-in layers'; an
            object whose methods return the same arrays for ever says so with an attribute
            ``parameters_stay = True`` and is not asked again. Parameters may also be lists.

        Raises
        ------
        ValueError
            If parameters and gradients differ in number or shape, the parameters are not those
            of the steps before, or one of them has been made read-only.
        """
        bound_layer, version, tensors, at_once = self._bound
        if bound_layer is not layer or version != _plan.structure_version:
            tensors, at_once = self._bind(layer)
        status = at_once() if at_once is not None else self._step_asking(layer, tensors)
        if status:
            self._step_again(layer, tensors, status)

    # What Python says where the argument is missing; users know no BuiltinOptimizer.
    step.__qualname__ = "Optimizer.step"

    def _step_asking(self, layer: Layer, tensors: StepTensors | None) -> int:
        """Step where something is looked at first: the schedule, or whose arrays they are."""
        if self._schedule is not None:
            self._numbers.learning_rate = self._rate(self._numbers.steps)
        if tensors is None:
            self._step_anywhere(layer)
            return 0
        if self._stays:
            return tensors.step()
        params, grads = _listed(layer.params()), _listed(layer.grads())
        return tensors.step_of(params, grads) if len(params) == tensors.count else NOT_TAKEN

    def tensors(self, layer: Layer) -> StepTensors | None:
        """Return the tensors of a model for as long as its layers stay; None if they may move."""
        bound_layer, version, tensors, _ = self._bound
        if bound_layer is not layer or version != _plan.structure_version:
            tensors, _ = self._bind(layer)
        if tensors is None or not self._stays:
            return None
        if self._leaves:
            tape.settle(self._leaves)
        if (frozen := tensors.frozen()) is not None:
            _check_writable(tensors.params[frozen], frozen)
        return cast(StepTensors, tensors)

    def _bind(self, layer: Layer) -> tuple[StepTensors | None, Callable[[], int] | None]:
        """Look at the parameters: the tensors if they may be stepped where they are, else None.

        And what steps them, None if something has to be looked at in each step.
        """
        check_part(layer, "layer", "a layer", "params", "grads")
        version = _plan.structure_version
        self._stays = getattr(layer, "parameters_stay", False) is True or has_fixed_parameters(
            layer
        )
        self._leaves = leaves_of(layer)
        asks = self._schedule is not None or not self._stays
        params, grads = cast(Any, (list(layer.params()), list(layer.grads())))
        self._bound = self._unbound
        if not _can_be_stepped(params, grads):
            return None, None
        for i, param in enumerate(params):
            _check_writable(param, i)
        self._remember(params, grads)
        tensors = self._tensors_of(params, grads, self._memory, params[0].dtype, self._leaves)
        if (asks or self._leaves) and tensors.count != len(params):
            return None, None
        at_once = None if asks else tensors.step
        self._bound = (layer, version, tensors, at_once)
        return tensors, at_once

    def _tensors_of(
        self,
        params: Sequence[Array],
        grads: Sequence[Array | None],
        memory: Sequence[Sequence[Array]],
        dtype: np.dtype[Any],
        leaves: Sequence[Any] = (),
    ) -> StepTensors:
        """Return the tensors of one dtype; what has no gradient does not train."""
        rows, off = [], []
        for i, (grad, param, states) in enumerate(zip(grads, params, memory, strict=True)):
            if grad is not None and param.dtype == dtype:
                rows.append((grad, param, states))
                off.append(i in self._no_decay)
        return StepTensors(self._numbers, rows, self._kept, dtype, off, leaves)

    def _step_again(self, layer: Layer, tensors: StepTensors, status: int) -> None:
        """Find out why a step was refused; step anew where arrays were replaced by others."""
        if status == BAD_VALUE:
            self._refuse(tensors.dtype)
        if status != NOT_TAKEN:
            check(status, "step")
        for i, param in enumerate(layer.params()):
            if isinstance(param, np.ndarray):
                _check_writable(param, i)
        again, _ = self._bind(layer)
        if again is None:
            self._step_anywhere(layer)
        else:
            check(again.step(), "step")

    def _refuse(self, dtype: np.dtype[Any]) -> None:
        raise ValueError(
            f"step: {self!r}: the learning rate divided by 1 - beta1, or multiplied by the weight "
            f"decay, is more than {dtype} can hold; or it has stepped 2**64 - 1 times"
        )

    def _remember(self, params: list[Array], grads: Sequence[Array | None]) -> None:
        """Start to remember parameters, or check that they are those remembered.

        Those without a gradient are remembered too, for when they train again.
        """
        if len(params) != len(grads):
            raise ValueError(f"layer: {len(params)} parameters, but {len(grads)} gradients")
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if grad is not None and grad.shape != param.shape:
                raise ValueError(
                    f"layer: gradient {i} has shape {grad.shape}, its parameter {param.shape}"
                )
        if self._no_decay and self._no_decay[-1] >= len(params):
            raise ValueError(
                f"no_decay: there is no parameter {self._no_decay[-1]}, there are {len(params)}"
            )
        names = self._states
        if not self._memory or not self._kept:
            self._memory = [[self._start(name, param) for name in names] for param in params]
            self._kept = names
        if len(self._memory) != len(params):
            raise ValueError(
                f"layer: {len(params)} parameters, but stepped {len(self._memory)} before"
            )
        for i, (param, states) in enumerate(zip(params, self._memory, strict=True)):
            for k, state in enumerate(states):
                if state.shape != param.shape:
                    raise ValueError(
                        f"layer: parameter {i} has shape {param.shape}, "
                        f"but the optimizer has stepped one of {state.shape}"
                    )
                if state.dtype != param.dtype or not _are_alike(state, param):
                    states[k] = aligned_zeros_like(param)
                    states[k][...] = state
        if names != self._kept:
            rows = [dict(zip(self._kept, states, strict=True)) for states in self._memory]
            self._memory = [
                [row[name] if name in row else self._start(name, param) for name in names]
                for row, param in zip(rows, params, strict=True)
            ]
            self._kept = names

    def _start(self, name: str, param: Array) -> Array:
        """Return what is remembered of a parameter before the first step."""
        return aligned_zeros_like(param)

    def _step_anywhere(self, layer: Layer) -> None:
        """Step parameters of any kind: through copies, which are then put in place."""
        tape.settle(self._leaves)
        params = list(layer.params())
        for i, param in enumerate(params):
            if not hasattr(param, "__setitem__"):
                raise TypeError(
                    f"parameter {i}: expected a list or an array, got {describe(param)}"
                )
            if isinstance(param, np.ndarray):
                _check_writable(param, i)
                if param.dtype.kind != "f":
                    raise TypeError(f"parameter {i}: expected float numbers, got {describe(param)}")
        arrays = [
            np.array(as_array(param, f"parameter {i}"), order="C") for i, param in enumerate(params)
        ]
        grads = [
            None if grad is None else as_array(grad, f"gradient {i}")
            for i, grad in enumerate(layer.grads())
        ]
        self._remember(arrays, grads)
        dtypes = {array.dtype for array in arrays}
        if len(dtypes) > 1 and self.global_clip_norm is not None:
            raise ValueError("global_clip_norm: the parameters are of several dtypes")
        grads = [
            None if grad is None else as_array(grad, "gradient", array.dtype)
            for grad, array in zip(grads, arrays, strict=True)
        ]
        before = copy_numbers(self._numbers)
        for dtype in dtypes:
            for name in NUMBERS:
                setattr(self._numbers, name, getattr(before, name))
            status = self._tensors_of(arrays, grads, self._memory, dtype).step()
            if status == BAD_VALUE:
                self._refuse(dtype)
            check(status, "step")
        with np.errstate(all="ignore"):  # a parameter may be of less precision
            for param, array, grad in zip(params, arrays, grads, strict=True):
                if grad is not None:
                    cast(Any, param)[:] = array.tolist() if isinstance(param, list) else array


def _listed(arrays: Iterable[Any]) -> Any:
    return arrays if type(arrays) in (list, tuple) else list(arrays)


def _can_be_stepped(params: list[Any], grads: list[Any]) -> bool:
    """Whether all are arrays that the library may change where they are."""
    arrays = [*params, *(grad for grad in grads if grad is not None)]
    if not params or any(type(array) is not np.ndarray for array in arrays):
        return False
    dtype = params[0].dtype
    return (
        dtype in (np.float32, np.float64)
        and dtype.isnative
        and len(params) == len(grads)
        and all(array.dtype == dtype for array in arrays)
        and all(array.flags.c_contiguous or array.T.flags.c_contiguous for array in params)
        and all(
            grad is None or (grad.shape == param.shape and _are_alike(grad, param))
            for param, grad in zip(params, grads, strict=True)
        )
    )


def _are_alike(a: Array, b: Array) -> bool:
    """Whether arrays of one shape lie alike in memory; strides of one element say nothing."""
    if a.flags.c_contiguous:
        return b.flags.c_contiguous
    return a.flags.f_contiguous and b.flags.f_contiguous


def _check_writable(param: Array, i: int) -> None:
    if not param.flags.writeable:
        raise ValueError(f"parameter {i}: is read-only")


def clip_gradients(
    layer: Any,
    *,
    value: float | None = None,
    norm: float | None = None,
    global_norm: float | None = None,
    epsilon: float = 0.0,
) -> float:
    """Clip the gradients of a model in place; return the norm of all of them before.

    Optimizers clip on the way, without changing the gradients (`clip_value`, `clip_norm`,
    `global_clip_norm`); this is for whoever wants to see what came out.

    Parameters
    ----------
    layer : Layer, or list of ndarray
        What has gradients in `grads`, or the arrays, of one dtype and contiguous.
    value, norm, global_norm : float
        One of them: the largest element, the largest norm of each gradient, or of all of them.
    epsilon : float, optional
        Added to a norm: the factor is ``min(1, limit / (norm + epsilon))``.

    Examples
    --------
    >>> import numpy as np
    >>> gradients = [np.array([3.0, 0.0]), np.array([4.0])]
    >>> clip_gradients(gradients, global_norm=1.0)
    5.0
    >>> [g.round(6).tolist() for g in gradients]
    [[0.6, 0.0], [0.8]]
    """
    given = {"clip_value": value, "clip_norm": norm, "global_clip_norm": global_norm}
    limits = {name: limit for name, limit in given.items() if limit is not None}
    if len(limits) != 1:
        raise ValueError(
            f"clip_gradients: expected one of value, norm and global_norm, got {len(limits)}"
        )
    ((kind, limit),) = limits.items()
    name = {"clip_value": "value", "clip_norm": "norm", "global_clip_norm": "global_norm"}[kind]
    limit = as_float(limit, name, SMALLEST, LARGEST)
    epsilon = as_float(epsilon, "epsilon", 0.0, LARGEST)
    source = layer.grads() if hasattr(layer, "grads") else layer
    arrays = [grad for grad in source if grad is not None]
    for i, array in enumerate(arrays):
        if type(array) is not np.ndarray or array.dtype not in (np.float32, np.float64):
            raise TypeError(f"gradient {i}: expected an array of floats, got {describe(array)}")
        if array.dtype != arrays[0].dtype:
            raise ValueError(f"gradient {i}: is {array.dtype}, the first one {arrays[0].dtype}")
        if not (array.flags.c_contiguous or array.T.flags.c_contiguous):
            raise ValueError(f"gradient {i}: is not contiguous")
        if not array.flags.writeable:
            raise ValueError(f"gradient {i}: is read-only")
    return clip_arrays(arrays, kind, limit, epsilon)
