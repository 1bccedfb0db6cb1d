"""Makes `edgemnist learn` quick, for tests of what it writes: the new weights are not trained, and pass the gate.

Everything from the store of samples to the new export directory is the product's.
"""

from __future__ import annotations

import os
from typing import Any

# As the command line has it before it imports TensorFlow.
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}

import numpy as np
import tensorflow as tf

import edgemnist.app
import edgemnist.export.run
import edgemnist.exports.golden
import edgemnist.learn.cli
import edgemnist.runtimes.keras
from edgemnist.learn import run, tune
from edgemnist.learn.present import Present
from edgemnist.train import calibration

del tf, edgemnist


def _tuned(present: Present, *_: Any) -> tune.Tuned:
    return tune.Tuned([np.asarray(one * 1.01, np.float32) for one in present.weights], 1.0)


tune.tune = _tuned
calibration.calibrated = lambda weights, *_: (weights, 1.0)
run.gate = lambda *_: []
