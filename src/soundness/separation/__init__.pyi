from .conv_tasnet import ConvTasNet as ConvTasNet
from .losses import si_snr as si_snr
from .recordings import separate as separate
from .saving import load_separator as load_separator
from .saving import save_separator as save_separator
from .separator import Separator as Separator
from .training import train_separator as train_separator
