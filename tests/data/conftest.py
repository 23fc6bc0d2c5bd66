"""The server that tests of downloads share."""

import pytest

from challenge_server import (
    BLIND,
    CLEAN,
    DEV,
    LABELLED,
    TABLE,
    TEST,
    TRAIN,
    TRAINING,
    zipped,
)
from records_server import serving


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.add(DEV, "dev_fan.zip", zipped(TABLE, *TRAINING, *LABELLED, *CLEAN))
        server.add(DEV, "dev_valve.zip", zipped(*TRAINING, *LABELLED, seed=1, under="valve/"))
        server.add(DEV, "readme.pdf", b"%PDF")
        server.add(TRAIN, "eval_data_ToyPet_train.zip", zipped(TABLE, *TRAINING, *CLEAN, seed=2, under="ToyPet/"))
        server.add(TEST, "eval_data_ToyPet_test.zip", zipped(TABLE, *BLIND, seed=3, under="ToyPet/"))
        yield server
