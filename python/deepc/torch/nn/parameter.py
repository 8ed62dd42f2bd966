"""torch.nn.parameter: Parameter, where some code imports it from."""

from deepc.torch.nn._module import Parameter as Parameter

__all__ = ["Parameter"]
