"""torch.nn: modules, layers and losses."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from deepc._values import missing
from deepc.torch.nn import _layers, _losses
from deepc.torch.nn import functional as functional
from deepc.torch.nn._layers import (
    BatchNorm1d as BatchNorm1d,
)
from deepc.torch.nn._layers import (
    Dropout as Dropout,
)
from deepc.torch.nn._layers import (
    Embedding as Embedding,
)
from deepc.torch.nn._layers import (
    Flatten as Flatten,
)
from deepc.torch.nn._layers import (
    Identity as Identity,
)
from deepc.torch.nn._layers import (
    LayerNorm as LayerNorm,
)
from deepc.torch.nn._layers import (
    Linear as Linear,
)
from deepc.torch.nn._layers import (
    ModuleDict as ModuleDict,
)
from deepc.torch.nn._layers import (
    ModuleList as ModuleList,
)
from deepc.torch.nn._layers import (
    ParameterList as ParameterList,
)
from deepc.torch.nn._layers import (
    PReLU as PReLU,
)
from deepc.torch.nn._layers import (
    Sequential as Sequential,
)
from deepc.torch.nn._layers import (
    Unflatten as Unflatten,
)
from deepc.torch.nn._losses import CrossEntropyLoss as CrossEntropyLoss
from deepc.torch.nn._module import Module as Module
from deepc.torch.nn._module import Parameter as Parameter

_OTHERS = {
    **dict.fromkeys(
        ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d",
         "AdaptiveAvgPool2d", "BatchNorm2d", "Dropout2d", "Upsample"),
        "nn.Flatten and nn.Linear; deepc has no layers over images",
    ),
    **dict.fromkeys(
        ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"),
        "nn.Linear in a loop; deepc has no recurrent layers",
    ),
    **dict.fromkeys(
        ("Transformer", "TransformerEncoder", "TransformerEncoderLayer", "MultiheadAttention"),
        "softmax and @; deepc has no layers of attention",
    ),
    "DataParallel": "the model itself", "GroupNorm": "nn.LayerNorm", "RMSNorm": "nn.LayerNorm",
    "InstanceNorm1d": "nn.LayerNorm", "Bilinear": "nn.Linear", "EmbeddingBag": "nn.Embedding",
    "AlphaDropout": "nn.Dropout", "GaussianNLLLoss": "operations of Tensors",
    "TripletMarginLoss": "operations of Tensors", "CTCLoss": "nn.CrossEntropyLoss",
    "LazyLinear": "nn.Linear", "ParameterDict": "nn.ParameterList",
}  # fmt: skip
# Classes that are made from a list have no line of their own above.
_MADE = {
    name: value
    for module in (_layers, _losses)
    for name, value in vars(module).items()
    if isinstance(value, type) and value.__module__ == __name__
}
globals().update(_MADE)
_refuse = missing("deepc.torch.nn", [*globals(), "init", "utils", "parameter"], _OTHERS)


def __getattr__(name: str) -> Any:
    if name in ("init", "utils", "parameter", "modules"):
        return import_module(f"deepc.torch.nn.{name}")
    return _refuse(name)
