from .log_mel import LogMel as LogMel
from .log_mel import Spectrograms as Spectrograms
from .reading import read_waveform as read_waveform
