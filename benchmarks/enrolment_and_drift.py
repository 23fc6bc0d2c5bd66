"""Sections of `alarms.py`: new normal clips join a detector, and normality itself moves."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal
from sklearn.metrics import roc_auc_score

import os
import soundness
from promises import Row
from soundness.audio import read_waveform
from soundness.clips import describe_clip
from soundness.detector import Detector, log_mel_of
from soundness.drift import ALPHA, Drift, drift_of
from soundness.enrolment import enrol
from soundness.errors import DataError
from soundness.features import LogMel
from soundness.fitters import Fitted
from soundness.log_mel_statistics import MeanLogMel, band_statistics
from soundness.normality import Normality
from soundness.screening import scored
from soundness.settings import load_settings

__all__ = ["Views", "drift", "enrolment"]


class Views(MeanLogMel):
    """A clip becomes mean, 10 % and 30 % quantile of its log-mel over time, one after the other."""

    def vectors(self, clip):
        """Shape ``(1, 3 * mel)``."""
        quantiles = clip.wanted.quantile(torch.tensor([0.1, 0.3]), dim=-1)
        return torch.cat([clip.wanted.mean(dim=-1), *quantiles])[None]

    @classmethod
    def fit(cls, heard, settings, context):  # noqa: ARG003  # as all
        """Only the error map has a scale."""
        scales = [band_statistics([clip.wanted for clip in machine.spectrograms]) for machine in heard]
        return [Fitted(cls(mean=mean, deviation=deviation)) for mean, deviation in scales]
