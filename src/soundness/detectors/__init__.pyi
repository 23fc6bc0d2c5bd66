from .bulk_scoring import score as score
from .bulk_scoring import score_clip as score_clip
from .detector import Detector as Detector
from .exported import ExportedDetector as ExportedDetector
from .exported import load_exports as load_exports
from .saving import load as load
from .training_summary import TrainingSummary as TrainingSummary
