from .protocol import REPRESENTATIONS as REPRESENTATIONS
from .protocol import MachineSpectrograms as MachineSpectrograms
from .protocol import Representation as Representation
from .protocol import find_representation as find_representation
