"""torch.utils: what is around training."""

from deepc.torch.utils import data as data
