"""The optimizer of the torch face: groups of parameters, each stepped by a rule of deepc."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np

from deepc._c import tape
from deepc._c.optimizer import NUMBERS
from deepc._c.tape import Node, over
from deepc._values import Array
from deepc.autodiff.tensor import enable_grad
from deepc.torch._tensor import Tensor
from deepc.torch.nn._module import RETIRED, _whole_gradient, gradient_array

__all__ = ["Optimizer"]

_due = tape.due


class _Rows:
    """Parameters and their gradients as deepc's optimizers take them: arrays that stay."""

    parameters_stay = True

    def __init__(self, leaves: list[Any]) -> None:
        self._params = [leaf._data for leaf in leaves]
        self._grads = [gradient_array(leaf) for leaf in leaves]

    def params(self) -> list[Array]:
        return self._params

    def grads(self) -> list[Array]:
        return self._grads


class _Cohort:
    """Parameters of a group that have been stepped equally often, so that one call steps them.

    torch leaves out a parameter without a gradient, and with it the count of its steps; as soon as
    some of a cohort have one and some have none, it is parted.
    """

    __slots__ = ("count", "group", "leaves", "rows", "rule", "step")

    def __init__(self, group: _Group, leaves: list[Any], rule: Any) -> None:
        self.group, self.leaves, self.rule = group, leaves, rule
        self.count = len(leaves)
        self.bind()

    def bind(self) -> None:
        """Let the rule look at the arrays, again after its settings have changed."""
        self.rows = _Rows(self.leaves)
        self.rule._unbind()
        tensors = self.rule.tensors(self.rows)
        self.step = tensors.step

    def part(self, has: list[bool]) -> tuple[_Cohort, _Cohort]:
        """Return two cohorts: of those that have a gradient, and the others."""
        parts = []
        for wanted in (True, False):
            rule = copy.deepcopy(self.rule)
            if rule._memory:
                rule._memory = [
                    row for row, one in zip(rule._memory, has, strict=True) if one is wanted
                ]
            leaves = [leaf for leaf, one in zip(self.leaves, has, strict=True) if one is wanted]
            parts.append(_Cohort(self.group, leaves, rule))
        return parts[0], parts[1]


class _Group(dict[str, Any]):
    """A group of parameters: the optimizer notices what is set in it."""

    optimizer: Any = None

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if self.optimizer is not None:
            self.optimizer._note(self, key)

    def update(self, *given: Any, **named: Any) -> None:
        """Set several settings."""
        for key, value in dict(*given, **named).items():
            self[key] = value

    def __deepcopy__(self, memo: Any) -> Any:
        return copy.deepcopy(dict(self), memo)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class Optimizer:
    """Changes parameters by their gradients.

    Those of this module are rules of deepc: a step of all parameters is one call. A subclass of
    one's own calls ``super().__init__(params, defaults)`` and defines `step`.

    Attributes
    ----------
    param_groups : list of dict
        ``"params"`` and the settings of each group; setting ``["lr"]`` holds from the next step.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[Any] = []
        self._cohorts: list[_Cohort] = []
        self._leaves: list[Any] = []
        self._own_state: dict[Any, Any] = defaultdict(dict)
        if isinstance(params, (Tensor, dict)):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {params.type() if isinstance(params, Tensor) else 'dict'}"
            )
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        leaves = [params] if isinstance(params, Tensor) else list(params)
        leaves = [one[1] if isinstance(one, tuple) else one for one in leaves]
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(leaf)}"
                )
            if leaf._op:
                raise ValueError("can't optimize a non-leaf Tensor")
        taken = {id(leaf) for leaf in self._leaves}
        if len({id(leaf) for leaf in leaves} | taken) != len(leaves) + len(taken):
            raise ValueError("some parameters appear in more than one parameter group")
        group = _Group({**self.defaults, **param_group, "params": leaves})
        for name, value in group.items():
            if value is _REQUIRED:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
        self._check(group)
        cohorts = []
        if type(self)._make is not Optimizer._make:
            for kind in {leaf._data.dtype for leaf in leaves}:
                alike = [leaf for leaf in leaves if leaf._data.dtype == kind]
                cohorts.append(_Cohort(group, alike, self._make(group)))
        self._leaves += leaves
        self._cohorts += cohorts
        group.optimizer = self
        self.param_groups.append(group)

    # ---- What a rule says ------------------------------------------------------------------------

    # What torch calls the tensors that the rule keeps of a parameter, and what the library does.
    _state_names: dict[str, str] = {}  # noqa: RUF012
    _number_names: dict[str, str] = {"step": "steps"}  # noqa: RUF012

    def _make(self, group: dict[str, Any]) -> Any:
        """Return deepc's optimizer with the settings of a group."""
        raise NotImplementedError

    def _check(self, group: dict[str, Any]) -> None:
        """Refuse settings in torch's words."""
        lr = group.get("lr", 0.0)
        if isinstance(lr, Tensor):
            dict.__setitem__(cast(Any, group), "lr", lr.item())
        elif not lr >= 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        for name, word in (("eps", "epsilon value"), ("weight_decay", "weight_decay value")):
            if not group.get(name, 0.0) >= 0:
                raise ValueError(f"Invalid {word}: {group[name]}")
        for i, beta in enumerate(group.get("betas", ())):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def _note(self, group: _Group, key: str) -> None:
        """Take over a setting that was changed."""
        self._check(group)
        for cohort in self._cohorts:
            if cohort.group is not group or key == "params":
                continue
            if key == "lr":
                cohort.rule.lr = group["lr"]
                continue
            numbers, new = cohort.rule._numbers, self._make(group)
            for name in NUMBERS:
                if name not in _COUNTERS:
                    setattr(numbers, name, getattr(new._numbers, name))
            if cohort.rule._states != cohort.rule._kept:
                cohort.bind()

    # ---- Steps -----------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, and its gradients; its value is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for cohort in self._cohorts:
            due = _due(cohort.leaves)
            if due == cohort.count:
                if status := cohort.step():
                    cohort.rule._step_again(cohort.rows, cohort.rule.tensors(cohort.rows), status)
            elif due:
                return self._step_parted(cohort, loss)
            elif any(leaf.label == RETIRED for leaf in cohort.leaves):
                raise RuntimeError(
                    "step: the model's dtype was changed after this optimizer was made, and its "
                    "parameters are others now; make the optimizer after .double() or .float()"
                )
        return loss

    def _step_parted(self, cohort: _Cohort, loss: Any) -> Any:
        """Part a cohort of which some have no gradient; step from there on."""
        place = self._cohorts.index(cohort)
        has = [leaf._grad is not None for leaf in cohort.leaves]
        self._cohorts[place : place + 1] = cohort.part(has)
        for later in self._cohorts[place:]:
            due = later.count if later is self._cohorts[place] else _due(later.leaves)
            if due == later.count:
                if status := later.step():
                    later.rule._step_again(later.rows, later.rule.tensors(later.rows), status)
            elif due:
                return self._step_parted(later, loss)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zeros."""
        if set_to_none:
            tape.zero(self._leaves)
            return
        found = [leaf for leaf in self._leaves if leaf._grad is not None]
        tape.zero(found)
        for leaf in found:
            _whole_gradient(leaf)

    # ---- State -----------------------------------------------------------------------------------

    def _states(self) -> dict[int, dict[str, Any]]:
        """Return what is remembered, by the parameter's identity."""
        found: dict[int, dict[str, Any]] = {}
        for cohort in self._cohorts:
            rule = cohort.rule
            if not rule.steps:
                continue
            for i, leaf in enumerate(cohort.leaves):
                one: dict[str, Any] = {}
                for name, own in self._number_names.items():
                    number = float(getattr(rule._numbers, own))
                    one[name] = over(Tensor, np.asarray(number, np.float32))
                for name, own in self._state_names.items():
                    if own in rule._kept:
                        one[name] = over(Tensor, rule._memory[i][rule._kept.index(own)])
                found[id(leaf)] = one
        return found

    @property
    def state(self) -> Any:
        """What is remembered of each parameter, by the parameter."""
        if not self._cohorts:
            return self._own_state
        found = self._states()
        return {leaf: found.get(id(leaf), {}) for leaf in self._leaves}

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered and the settings, parameters by number."""
        number = {id(leaf): i for i, leaf in enumerate(self._leaves)}
        if self._cohorts:
            state = {number[key]: one for key, one in self._states().items()}
        else:
            state = {number[id(p)]: one for p, one in self._own_state.items()}
        groups = [
            {**group, "params": [number[id(leaf)] for leaf in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another optimizer of the same parameters has been."""
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(old["params"]) != len(new["params"])
            for old, new in zip(groups, self.param_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        for old, new in zip(groups, self.param_groups, strict=True):
            dict.update(new, {k: v for k, v in old.items() if k != "params"})
        numbers = [number for old in groups for number in old["params"]]
        states = {
            id(leaf): state_dict["state"].get(number, {})
            for leaf, number in zip(self._leaves, numbers, strict=True)
        }
        if not self._cohorts:
            self._own_state = defaultdict(
                dict, {leaf: dict(states[id(leaf)]) for leaf in self._leaves}
            )
            return
        self._cohorts = [
            cohort for group in self.param_groups for cohort in self._restored(group, states)
        ]

    def _restored(self, group: _Group, states: dict[int, dict[str, Any]]) -> Iterable[_Cohort]:
        """Return the cohorts of a group: parameters of one dtype and one count of steps each."""
        parts: dict[Any, list[Any]] = defaultdict(list)
        for leaf in group["params"]:
            state = states[id(leaf)]
            count = int(float(state.get("step", bool(state))))
            parts[leaf._data.dtype, count, tuple(sorted(state))].append(leaf)
        for (_, count, names), leaves in parts.items():
            rule = self._make(group)
            kept = tuple(self._state_names[name] for name in names if name in self._state_names)
            cohort = _Cohort(group, leaves, rule)
            if count and kept:
                inverse = {own: name for name, own in self._state_names.items()}
                for i, leaf in enumerate(leaves):
                    for k, own in enumerate(rule._kept):
                        if own in kept:
                            value = states[id(leaf)][inverse[own]]
                            array = value._data if isinstance(value, Node) else np.asarray(value)
                            rule._memory[i][k][...] = array
            numbers = rule._numbers
            for name, own in self._number_names.items():
                value = float(states[id(leaves[0])].get(name, 0.0))
                setattr(numbers, own, int(value) if own == "steps" else value)
            numbers.steps, numbers.moving = count, "momentum_buffer" in names
            yield cohort

    def __getstate__(self) -> dict[str, Any]:
        made = {"param_groups", "_cohorts", "_leaves", "_own_state"}
        rest = {name: value for name, value in self.__dict__.items() if name not in made}
        return {
            "rest": rest, "groups": [dict(group) for group in self.param_groups],
            "state": self.state_dict(),
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["rest"])
        self.param_groups, self._cohorts, self._leaves = [], [], []
        self._own_state = defaultdict(dict)
        for group in state["groups"]:
            self.add_param_group(group)
        self.load_state_dict(state["state"])

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


_REQUIRED = object()
# The numbers of a rule that say how far it has come.
_COUNTERS = ("steps", "waiting", "momentum_product", "moving")
