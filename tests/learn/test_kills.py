"""`kill -9` in the middle of `edgemnist learn`: no label is lost, and the new directory is whole or not there."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgemnist.exports.directory import Exports
from edgemnist.exports.manifest import MANIFEST_FILE, MODEL_FILE, read_manifest
from edgemnist.samples.store import SampleStore
from edgemnist.storage import ABANDONED_AFTER_S
from tests.conftest import OLD_EXPORTS
from tests.killing import Program
from tests.learn.test_learn import field, fill
def test_x(tmp_path, cache):
    import msgspec
    images, labels = field(cache)
    fill(tmp_path / "samples", images[:24], labels[:24], ["ann"] * 20 + ["eve"] * 4)
    shutil.copytree(OLD_EXPORTS, tmp_path / "exports")
    m = read_manifest(tmp_path/"exports")
    m = msgspec.structs.replace(m, artifacts=[a for a in m.artifacts if a.name=="tflite-int8"], answers=None)
    (tmp_path/"exports"/MANIFEST_FILE).write_bytes(m.encode())
    (tmp_path/"exports"/MODEL_FILE).unlink()
    import time
    with Program(tmp_path, "-m", "tests.killing", "tests.learn.quick") as p:
        words=["learn","--exports","exports","--forget","eve","--json"]
        t=time.time()
        r=p.run(words=words, environment={"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"})
        print(time.time()-t)
        print(r["code"], r["said"][-300:])
        for n,x in enumerate(r["steps"],1): print(n,x[:200])
    import resource
    print(resource.getrusage(resource.RUSAGE_CHILDREN))
