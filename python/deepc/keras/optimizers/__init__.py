"""Optimizers in Keras' forms: its names, defaults and formulas for deepc's update rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from deepc import optimizers as rules
from deepc._c.tape import values
from deepc._values import Array, as_array, default_dtype, missing, nearest
from deepc.keras._names import automatic, find
from deepc.keras._variables import Number, Variable
from deepc.keras.optimizers import schedules
from deepc.keras.optimizers.schedules import LearningRateSchedule
from deepc.training.constraints import constrained

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Optimizer",
    "RMSprop", "deserialize", "get", "schedules", "serialize",
]  # fmt: skip

# What every optimizer takes beside what its rule has, with the defaults.
_COMMON: dict[str, Any] = {
    "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None,
    "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
    "loss_scale_factor": None, "gradient_accumulation_steps": None, "name": None,
}  # fmt: skip


class _Rate(Number):
    """The learning rate as a number; assigning to it sets the optimizer's."""

    optimizer: Optimizer

    def assign(self, value: float) -> None:
        """Set the learning rate."""
        self.optimizer.learning_rate = value


class _Parameters:
    """Arrays with their gradients, as an optimizer of deepc asks a layer for them."""

    def __init__(self, params: list[Any], grads: list[Any], nodes: list[Any]) -> None:
        self._params, self._grads, self._nodes = params, grads, nodes

    def params(self) -> list[Any]:
        """Return the arrays."""
        return self._params

    def grads(self) -> list[Any]:
        """Return the gradients."""
        return self._grads

    def _leaves(self) -> list[Any]:
        return self._nodes


class Optimizer:
    """What all optimizers share; use one of its subclasses.

    Attributes
    ----------
    learning_rate : float
        May be assigned, if it is no schedule.
    iterations : int
    rule : deepc.optimizers.BuiltinOptimizer
        What does the work.
    """

    # The rule's class, what is fixed for Keras' form, and Keras' names of its arguments.
    _rule: Any = None
    _form: ClassVar[dict[str, Any]] = {}
    _renamed: ClassVar[dict[str, str]] = {}
    _arguments: ClassVar[dict[str, Any]] = {}
    # What files hold of the rule's states: variable by variable, or, as a tuple, one after the
    # other; "third" comes last.
    _slots: ClassVar[Any] = ["first", "second"]

    def __init__(self, *values: Any, **given: Any) -> None:
        if self._rule is None:
            raise TypeError("Optimizer: use one of its subclasses, such as keras.optimizers.SGD")
        own = self._arguments
        known = {**own, **_COMMON}
        arguments = dict(zip(known, values, strict=False))
        if given.pop("decay", None) is not None:
            import warnings

            warnings.warn(
                "Argument `decay` is no longer supported and will be ignored.", stacklevel=2
            )
        unknown = {name: value for name, value in given.items() if name not in known}
        if unknown or len(values) > len(known):
            near = "; did you mean 'learning_rate'?" if "lr" in unknown else ""
            raise ValueError(
                f"Argument(s) not recognized: {unknown}"
                + (near or "".join(nearest(name, known) for name in list(unknown)[:1]))
            )
        config = {**known, **arguments, **given}
        self._config = config
        self.name = config["name"] or automatic(type(self).__name__)
        self.rule = self._make(config)
        self._excluded: tuple[list[str], list[Any]] | None = None
        self._built: list[Any] | None = None

    def _make(self, config: dict[str, Any]) -> Any:
        clips = [n for n in ("clipnorm", "clipvalue", "global_clipnorm") if config[n] is not None]
        if len(clips) > 1:
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                + ", ".join(f"{name}={config[name]}" for name in clips)
            )
        if config["loss_scale_factor"] is not None:
            raise ValueError(
                "loss_scale_factor: gradients are float32 or float64 here and need no scaling"
            )
        momentum = config.get("momentum", 0.0)
        if isinstance(momentum, bool) or not 0 <= momentum <= 1:
            raise ValueError("`momentum` must be a float between [0, 1].")
        settings = {self._renamed.get(name, name): config[name] for name in self._arguments}
        settings["learning_rate"] = self._checked_rate(config["learning_rate"])
        if settings.get("nesterov") and not momentum:
            settings["nesterov"] = False  # without a momentum it is the plain step, as in Keras
        steps = config["gradient_accumulation_steps"]
        settings.update(
            weight_decay=config["weight_decay"] or 0.0,
            decoupled=True,
            clip_norm=config["clipnorm"],
            clip_value=config["clipvalue"],
            global_clip_norm=config["global_clipnorm"],
            ema=config["ema_momentum"] if config["use_ema"] else None,
            ema_period=config["ema_overwrite_frequency"] if config["use_ema"] else None,
            accumulation=1 if steps is None else steps,
        )
        return self._rule(**{**settings, **self._form})

    @staticmethod
    def _checked_rate(rate: Any) -> Any:
        if isinstance(rate, dict):
            rate = find("schedule", rate.get("class_name"), vars(schedules)).from_config(
                rate["config"]
            )
        if isinstance(rate, LearningRateSchedule) or (
            callable(rate) and not isinstance(rate, type) and not hasattr(rate, "__float__")
        ):
            if isinstance(rate, LearningRateSchedule):
                return rate
            function: Callable[[], Any] = rate
            return lambda step: float(function())
        if isinstance(rate, (float, np.floating)):
            return float(rate)
        raise ValueError(
            "Argument `learning_rate` should be float, or an instance of LearningRateSchedule, or "
            f"a callable (that takes in the current iteration value). Received: "
            f"learning_rate={rate}"
        )

    # ---- What it is asked ----

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step."""
        # Keras keeps it as float32, and that is the number which it shows.
        exact = self.rule.lr
        rate = _Rate(default_dtype().type(exact))
        rate.optimizer = self
        return rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self.rule.lr = value
            return
        if isinstance(self.rule._schedule, LearningRateSchedule):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its "
                "`learning_rate` constructor argument, hence its learning rate is not settable. "
                "If you need the learning rate to be settable, you should instantiate the "
                "optimizer with a float `learning_rate` argument."
            )
        self.rule.lr = float(value)

    @property
    def iterations(self) -> int:
        """How many steps it has taken."""
        return int(self.rule.steps)

    @property
    def built(self) -> bool:
        """Whether it has seen the variables that it changes."""
        return self._built is not None

    @property
    def variables(self) -> list[Variable]:
        """The step's number, the learning rate, then what it keeps of each variable."""
        kept = [
            Variable.over(np.array(self.iterations, np.int32), None, "iteration",
                          f"{self.name}/iteration", False),
            Variable.over(np.array(self.rule.lr, np.float32), None, "learning_rate",
                          f"{self.name}/learning_rate", False),
        ]  # fmt: skip
        for i, states in enumerate(self.rule._memory):
            kept += [
                Variable.over(state if state.flags.c_contiguous else state.T, None, f"{name}_{i}",
                              f"{self.name}/{i}/{name}", False)
                for name, state in zip(self.rule._kept, states, strict=True)
            ]  # fmt: skip
        return kept

    def build(self, variables: Iterable[Variable]) -> None:
        """Tell it which variables it changes."""
        variables = list(variables)
        known = {id(v.data) for v in self._built or ()}
        if self._built is not None and not all(id(v.data) in known for v in variables):
            raise ValueError(
                "Unknown variable: this optimizer can only be called for the variables it was "
                "originally built with. When working with a new set of variables, make a new "
                "optimizer."
            )
        if self._built is None and self._excluded is not None:
            names, objects = self._excluded
            paths = {v.path for v in objects}
            self.rule.no_decay = [
                i
                for i, v in enumerate(variables)
                if v.path in paths or any(name in v.path for name in names)
            ]
        if self._built is None:
            self._built = variables

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Keep weight decay from variables, by themselves or by parts of their paths."""
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be configured before the optimizer is "
                "built."
            )
        self._excluded = (list(var_names or []), list(var_list or []))

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> int:
        """Step variables by their gradients; return how many steps there were.

        Examples
        --------
        >>> p = Variable([1.0, 2.0], name="p")
        >>> SGD(0.5).apply_gradients([(np.array([1.0, 0.0]), p)])
        1
        >>> p.numpy().tolist()
        [0.5, 2.0]
        """
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Step variables by their gradients."""
        variables = (
            list(self._built or []) if trainable_variables is None else list(trainable_variables)
        )
        gradients = [None if g is None else as_array(values(g), "grads", v.data.dtype)
                     for g, v in zip(grads, variables, strict=True)]  # fmt: skip
        if all(g is None for g in gradients):
            raise ValueError("No gradients provided for any variable.")
        self.build(variables)
        arrays: list[Array] = [v.data for v in variables]
        for g, v in zip(gradients, arrays, strict=True):
            if g is not None and g.shape != v.shape:
                raise ValueError(f"grads: expected shape {v.shape}, got {g.shape}")
        self.rule.step(_Parameters(arrays, gradients, variables))
        for variable in variables:
            if getattr(variable, "constraint", None) is not None:
                variable.assign(constrained(variable.data, variable.constraint))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        config = {**self._config, "name": self.name}
        rate = config["learning_rate"]
        if isinstance(rate, LearningRateSchedule):
            config["learning_rate"] = {
                "module": "keras.optimizers.schedules",
                "class_name": type(rate).__name__,
                "config": rate.get_config(),
                "registered_name": None,
            }
        else:
            config["learning_rate"] = float(self.rule.lr)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Optimizer:
        """Make one from such arguments."""
        known = {**cls._arguments, **_COMMON}
        return cls(**{name: value for name, value in config.items() if name in known})

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_config", {})
        if name in config:
            return config[name]
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}'"
            + ("; did you mean 'learning_rate'?" if name == "lr" else "")
        )

    def __repr__(self) -> str:
        return f"<keras.optimizers.{type(self).__name__} name={self.name}>"


class SGD(Optimizer):
    """``v = momentum * v - learning_rate * g; p += v``, or Nesterov's form."""

    _rule = rules.SGD
    _form: ClassVar[dict[str, Any]] = {"rate_inside": True}
    _arguments: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.01, "momentum": 0.0, "nesterov": False,
    }  # fmt: skip


class RMSprop(Optimizer):
    """``s = rho * s + (1 - rho) * g**2; p -= learning_rate * g / sqrt(s + epsilon)``."""

    _rule = rules.RMSProp
    _form: ClassVar[dict[str, Any]] = {"rate_inside": True, "epsilon_inside": True}
    _renamed: ClassVar[dict[str, str]] = {"rho": "decay"}
    _slots: ClassVar[Any] = ("second", "first", "third")
    _arguments: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False,
    }  # fmt: skip


_BETAS = {"beta_1": "beta1", "beta_2": "beta2"}
_MOMENTS: dict[str, Any] = {
    "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
}  # fmt: skip


class Adam(Optimizer):
    """Adaptive moments, with epsilon added before the correction."""

    _rule = rules.Adam
    _form: ClassVar[dict[str, Any]] = {"epsilon_inside": True}
    _renamed = _BETAS
    _arguments: ClassVar[dict[str, Any]] = {**_MOMENTS, "amsgrad": False}


class AdamW(Adam):
    """`Adam` with weight decay, 0.004 if not given."""

    def __init__(self, *values: Any, **given: Any) -> None:
        # It stands second among the arguments here.
        rate = values[:1]
        if len(values) > 1:
            given["weight_decay"] = values[1]
        super().__init__(*rate, *values[2:], **{"weight_decay": 0.004, **given})


class Adagrad(Optimizer):
    """``s += g**2; p -= learning_rate * g / sqrt(s + epsilon)``."""

    _rule = rules.Adagrad
    _form: ClassVar[dict[str, Any]] = {"epsilon_inside": True}
    _renamed: ClassVar[dict[str, str]] = {"initial_accumulator_value": "initial"}
    _arguments: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7,
    }  # fmt: skip


class Adadelta(Optimizer):
    """Steps scaled by how large steps and gradients have been."""

    _rule = rules.Adadelta
    _slots: ClassVar[Any] = ["second", "first"]
    _renamed: ClassVar[dict[str, str]] = {"rho": "decay"}
    _arguments: ClassVar[dict[str, Any]] = {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7}


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the root of their squares."""

    _rule = rules.Adamax
    _renamed = _BETAS
    _arguments: ClassVar[dict[str, Any]] = dict(_MOMENTS)


class Nadam(Optimizer):
    """Adam with Nesterov's look ahead."""

    _rule = rules.Nadam
    _form: ClassVar[dict[str, Any]] = {"momentum_decay": 1.0}
    _renamed = _BETAS
    _arguments: ClassVar[dict[str, Any]] = dict(_MOMENTS)


class Lion(Optimizer):
    """Steps of one size, by the sign of an average."""

    _rule = rules.Lion
    _renamed = _BETAS
    _arguments: ClassVar[dict[str, Any]] = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99}


CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Lion)
}
_LEFT_OUT = {
    "Ftrl": "optimizers.Adagrad", "Lamb": "optimizers.AdamW", "Adafactor": "optimizers.Adam",
    "Muon": "optimizers.SGD with momentum", "ScheduleFreeAdamW": "optimizers.AdamW",
    "LossScaleOptimizer": "the optimizer itself: nothing is scaled in float32",
}  # fmt: skip


def get(identifier: Any) -> Optimizer:
    """Return an optimizer by its name, in any case of letters, or as it is."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    name = identifier.lower() if isinstance(identifier, str) else identifier
    for left_out, instead in _LEFT_OUT.items():
        if name == left_out.lower():
            raise ValueError(f"optimizer: {left_out} is not supported; the nearest is {instead}")
    if isinstance(name, str) and name not in CLASSES:
        name = identifier
    made: Optimizer = find("optimizer", name, CLASSES)()
    return made


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return what a file says of an optimizer."""
    return {
        "module": "keras.optimizers",
        "class_name": type(optimizer).__name__,
        "config": optimizer.get_config(),
        "registered_name": None,
    }


def deserialize(config: dict[str, Any], custom_objects: Any = None) -> Optimizer:
    """Return an optimizer from what a file says of it."""
    found = find("optimizer", str(config.get("class_name", "")).lower(), CLASSES)
    made: Optimizer = found.from_config(config.get("config", {}))
    return made


__getattr__ = missing("deepc.keras.optimizers", __all__, _LEFT_OUT)
