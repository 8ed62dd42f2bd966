"""Module and what is in it: parameters, buffers, other modules, by name."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from deepc._c import tape
from deepc._c.tape import Node, over
from deepc._values import Array, describe
from deepc.layers import _plan
from deepc.layers.base import _Noticed
from deepc.torch._tensor import Tensor
from deepc.torch._types import as_numpy_dtype, device

__all__ = ["Module", "Parameter", "gradient_array", "settings"]

_M = TypeVar("_M", bound="Module")
_whole_gradient: Callable[[Any], Any] = Node.grad.__get__


def gradient_array(parameter: Any) -> Array:
    """Return the array of a leaf's gradient, which stays the same from now on."""
    found = parameter._grad
    array, data = _whole_gradient(parameter), parameter._data
    if array is None or array.strides != data.strides:
        array = np.zeros_like(data)
        if found is not None:
            array[...] = found
    tape.adopt(parameter, array, False)
    if found is None:
        tape.zero([parameter])  # which says that there is none yet
    return cast(Array, array)


def retire(parameter: Any) -> None:
    """Let an optimizer that still has a parameter, which another has replaced, say so."""
    tape.zero([parameter])
    parameter.label = RETIRED


# The label of a parameter that is no longer any module's.
RETIRED = "replaced by one of another dtype"


class Parameter(Tensor):
    """A Tensor that a `Module` trains; it has a place for its gradient from the start."""

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        """Make one over a Tensor, in the same memory."""
        if data is None:
            data = Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"data: expected a Tensor, got {describe(data)}")
        array = data._data
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            array = np.ascontiguousarray(array)
        return cls.over(array, requires_grad)

    @classmethod
    def over(cls, array: Array, requires_grad: bool = True, gradient: Array | None = None) -> Any:
        """Return one over an array, in the same memory; its gradient too, if that is given."""
        self = over(cls, array)
        if gradient is not None:
            tape.adopt(self, gradient, False)
            tape.zero([self])
        elif array.dtype.kind == "f":
            gradient_array(self)
        return self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __copy__(self) -> Any:
        return self.over(self._data, self.requires_grad)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        memo[id(self)] = copied = self.over(self._data.copy("K"), self.requires_grad)
        return copied

    def __reduce__(self) -> Any:
        return Parameter.over, (self._data, self.requires_grad)


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class Keys(_Keys):
    """What of a state dict did not fit."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()


class _Handle:
    """What takes a hook away again."""

    def __init__(self, module: Module, kind: str, hook: Any) -> None:
        self._place = (module, kind, hook)

    def remove(self) -> None:
        """Take the hook away."""
        module, kind, hook = self._place
        hooks = (module._hooks or {}).get(kind, [])
        if hook in hooks:
            hooks.remove(hook)
        if not any((module._hooks or {}).values()):
            module.__dict__.pop("_hooks", None)
            module._changed()


class Module(metaclass=_Noticed):
    """What a network and each of its parts is. Subclass it and define `forward`.

    Parameters and Modules that are assigned to attributes belong to it.

    Attributes
    ----------
    training : bool
        Whether it is in training; see `train` and `eval`.

    Examples
    --------
    >>> from deepc import torch
    >>> from deepc.torch import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.out = nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return self.out(x)
    >>> Net()
    Net(
      (out): Linear(in_features=3, out_features=2, bias=True)
    )
    >>> Net()(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    training: bool
    _hooks: dict[str, list[Any]] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected argument "
                f"{next(iter(kwargs), 'by position')!r}"
            )
        new: dict[str, Any] = self.__dict__
        new["training"] = True
        new["_parameters"], new["_buffers"], new["_modules"] = {}, {}, {}
        new["_not_saved"] = set()

    # ---- Attributes ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        kinds: Any = own.get("_parameters"), own.get("_modules"), own.get("_buffers")
        for kind, place, word in zip((Parameter, Module), kinds[:2], _WORDS, strict=True):
            if isinstance(value, kind):
                if place is None:
                    raise AttributeError(f"cannot assign {word} before Module.__init__() call")
                for other in kinds:
                    if other is not place:
                        cast(Any, other).pop(name, None)
                place[name] = value
                self._changed()
                break
            if place is not None and name in place:
                if value is not None:
                    what = "parameter" if kind is Parameter else "child module"
                    kind_of = value.type() if isinstance(value, Tensor) else type(value).__name__
                    raise TypeError(
                        f"cannot assign '{kind_of}' as {what} '{name}' "
                        f"(torch.nn.{kind.__name__} or None expected)"
                    )
                place[name] = None
                self._changed()
                break
        else:
            buffers = kinds[2]
            if buffers is not None and name in buffers:
                if value is not None and not isinstance(value, Tensor):
                    raise TypeError(
                        f"cannot assign '{type(value).__name__}' as buffer '{name}' "
                        "(torch.Tensor or None expected)"
                    )
                buffers[name] = value
        object.__setattr__(self, name, value)
        if name == "forward":
            self._changed()

    def __delattr__(self, name: str) -> None:
        for place in (self._parameters, self._buffers, self._modules):
            place.pop(name, None)
        self.__dict__.pop(name, None) if name in self.__dict__ else object.__delattr__(self, name)
        self._changed()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _changed(self) -> None:
        """Let what was prepared of modules be prepared anew."""
        _plan.note_change()

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None for one that there is not."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        self._parameters[name] = param
        self.__dict__[name] = param
        self._changed()

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a Tensor that belongs to the state, but is not trained."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if not persistent:
            self._not_saved.add(name)
        self.__dict__[name] = tensor

    def add_module(self, name: str, module: Module | None) -> None:
        """Add another module under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        if not name or "." in name:
            raise KeyError(f'module name can\'t be empty or contain ".", got: {name}')
        self._modules[name] = module
        self.__dict__[name] = module
        self._changed()

    register_module = add_module

    # ---- Calling ---------------------------------------------------------------------------------

    def forward(self, *input: Any) -> Any:
        """Return the output; to be defined."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *input: Any, **more: Any) -> Any:
        """Return ``forward(*input)``."""
        if self._hooks is not None:
            return self._call_hooked(input, more)
        return self.forward(*input, **more)

    def _call_hooked(self, input: tuple[Any, ...], more: dict[str, Any]) -> Any:
        hooks = self._hooks or {}
        for hook in list(hooks.get("before", ())):
            result = hook(self, input)
            if result is not None:
                input = result if isinstance(result, tuple) else (result,)
        output = self.forward(*input, **more)
        for hook in list(hooks.get("after", ())):
            result = hook(self, input, output)
            output = output if result is None else result
        return output

    def _hook(self, kind: str, hook: Any) -> Any:
        if self._hooks is None:
            self.__dict__["_hooks"] = {}
        cast(Any, self._hooks).setdefault(kind, []).append(hook)
        self._changed()
        return _Handle(self, kind, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Any:
        """Call ``hook(module, input, output)`` after each forward; it may return another output."""
        return self._hook("after", hook)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Any:
        """Call ``hook(module, input)`` before each forward; it may return another input."""
        return self._hook("before", hook)

    # ---- What is in it ---------------------------------------------------------------------------

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield the module itself and all in it, with their names."""
        memo = set() if memo is None else memo
        if remove_duplicate and id(self) in memo:
            return
        memo.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                place = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, place, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield the module itself and all in it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules directly in it, with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules directly in it."""
        return (module for _, module in self.named_children())

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[Any]:
        seen: set[int] = set()
        named = self.named_modules(prefix=prefix, remove_duplicate=once)
        for place, module in named if recurse else [(prefix, self)]:
            for name, found in getattr(module, kind).items():
                if found is None or (once and id(found) in seen):
                    continue
                seen.add(id(found))
                yield (f"{place}.{name}" if place else name), found

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their names, such as ``"model.1.weight"``."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once."""
        return (found for _, found in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers with their names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, each once."""
        return (found for _, found in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """Return the module of a name such as ``"encoder.0"``."""
        module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a name such as ``"encoder.0.weight"``."""
        place, _, name = target.rpartition(".")
        module = self.get_submodule(place)
        if module._parameters.get(name) is None:
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        return cast(Parameter, module._parameters[name])

    def apply(self: _M, fn: Callable[[Module], Any]) -> _M:
        """Call a function with each module in it, then with itself; return the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ---- Modes and gradients ---------------------------------------------------------------------

    def train(self: _M, mode: bool = True) -> _M:
        """Say to all modules in it whether they are in training; return the module."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self: _M) -> _M:
        """Leave training; return the module."""
        return self.train(False)

    def requires_grad_(self: _M, requires_grad: bool = True) -> _M:
        """Say of all parameters whether they are trained; return the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zeros."""
        version, found = self.__dict__.get("_all", (None, []))
        if version != _plan.structure_version:
            found = list(self.parameters())
            self.__dict__["_all"] = (_plan.structure_version, found)
        if not set_to_none:
            found = [parameter for parameter in found if parameter._grad is not None]
        tape.zero(found)
        if not set_to_none:
            for parameter in found:
                _whole_gradient(parameter)

    def _apply(self: _M, kind: Any) -> _M:
        """Put all floats into another dtype."""
        kind = as_numpy_dtype(kind)
        if kind.kind != "f":
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={kind}"
            )
        for module in self.modules():
            module._convert(kind)
        return self

    def _convert(self, kind: np.dtype[Any]) -> None:
        for name, parameter in self._parameters.items():
            if parameter is not None and parameter._data.dtype != kind:
                new = Parameter.over(
                    parameter._data.astype(kind, order="K"), parameter.requires_grad
                )
                self._parameters[name] = self.__dict__[name] = new
                retire(parameter)
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer._data.dtype.kind == "f":
                self._buffers[name] = self.__dict__[name] = buffer.type(kind)
        self._changed()

    def to(self: _M, *what: Any, **more: Any) -> _M:
        """Put all floats into a dtype; devices are the CPU. Return the module."""
        kind = more.pop("dtype", None)
        for one in (*what, more.pop("device", None)):
            if isinstance(one, (str, device)):
                device(one)
            elif one is not None and not isinstance(one, bool):
                kind = one
        return self if kind is None else self._apply(kind)

    def double(self: _M) -> _M:
        """Compute in float64; return the module."""
        return self._apply(np.float64)

    def float(self: _M) -> _M:
        """Compute in float32; return the module."""
        return self._apply(np.float32)

    def cpu(self: _M) -> _M:
        """Return the module, which is on the CPU."""
        return self

    def cuda(self, *_: Any) -> Any:
        """Refuse: there is the CPU only."""
        device("cuda")

    def compile(self, *_: Any, **__: Any) -> None:
        """Do nothing: layers are compiled."""

    # ---- State -----------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Return parameters and buffers by name, in the same memory."""
        state = OrderedDict() if destination is None else destination
        for place, module in self.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
            start = f"{place}." if place else ""
            for name, found in (*module._parameters.items(), *module._buffers.items()):
                if found is not None and name not in module._not_saved:
                    state[start + name] = found if keep_vars else found.detach()
        return cast(dict[str, Any], state)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Keys:
        """Copy parameters and buffers from a state dict; nothing, if it does not fit."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = self.state_dict(keep_vars=True)
        absent = [name for name in own if name not in state_dict]
        extra = [name for name in state_dict if name not in own]
        wrong = []
        if strict and extra:
            wrong.append(f"Unexpected key(s) in state_dict: {_listed(extra)}. ")
        if strict and absent:
            wrong.insert(0, f"Missing key(s) in state_dict: {_listed(absent)}. ")
        arrays = {}
        for name, found in own.items():
            if name not in state_dict:
                continue
            value = state_dict[name]
            arrays[name] = array = np.asarray(value._data if isinstance(value, Node) else value)
            if array.shape != found._data.shape:
                wrong.append(
                    f"size mismatch for {name}: copying a param with shape "
                    f"torch.Size({list(array.shape)}) from checkpoint, the shape in current model "
                    f"is torch.Size({list(found._data.shape)})."
                )
        if wrong:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(wrong)
            )
        for name, array in arrays.items():
            own[name].data = array
        return Keys(absent, extra)

    def as_deepc(self) -> Any:
        """Return deepc's layers over the same arrays: for `fit`, `export_c`, `to_onnx`.

        Examples
        --------
        >>> from deepc.torch import nn
        >>> nn.Sequential(nn.Linear(2, 3), nn.Tanh()).as_deepc()
        Sequential([Linear(2, 3), Tanh()])
        """
        make = getattr(type(self), "_as_sequential", None) or getattr(type(self), "_deepc", None)
        if make is None:
            raise TypeError(
                f"{type(self).__name__}: only a Sequential of layers that deepc has, or such a "
                "layer, is one of deepc; a module with a forward of its own is not"
            )
        return make(self)

    # ---- Text ------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return what the repr shows of the module itself."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        name = self._get_name()
        if not children and len(lines) <= 1:
            return f"{name}({''.join(lines)})"
        return f"{name}(\n  " + "\n  ".join([*lines, *children]) + "\n)"

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._modules, *self._buffers})

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _PREPARED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._changed()

    def __deepcopy__(self: _M, memo: dict[int, Any]) -> _M:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return new


_WORDS = ("parameters", "module")
# What is made anew when modules have changed.
_PREPARED = {"_all", "_steps"}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def settings(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Return what a constructor was given, in the order of its class's `_defaults`."""
    defaults, name = module._defaults, type(module).__name__
    if len(given) > len(defaults):
        raise TypeError(f"{name}.__init__() takes at most {len(defaults)} arguments")
    for key in named:
        if key not in defaults:
            raise TypeError(f"{name}.__init__() got an unexpected keyword argument '{key}'")
    return {**defaults, **dict(zip(defaults, given, strict=False)), **named}
