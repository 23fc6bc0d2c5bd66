from .bootstrap import bootstrap_intervals as bootstrap_intervals
from .bootstrap import compare as compare
from .metrics import partial_auc as partial_auc
from .metrics import roc_auc as roc_auc
from .results import Evaluation as Evaluation
from .results import evaluate as evaluate
from .score_files import read_scores as read_scores
from .score_files import write_scores as write_scores
