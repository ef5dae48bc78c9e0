"""A built-in model's direct path writes, byte for byte, what payload by payload would have been written."""

import os
import socket
import threading

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.algorithms import base
from clary.algorithms._transform import Scoring, serve
from clary.algorithms.base import Question
from clary.toolkit.transform import columns, split
from clary.toolkit.transform.blocks import Line, Slots
from clary.toolkit.transform.records import Processing, RecordError, assembled

N_FEATURES = 3
ENVIRON = {"SAGEMAKER_BATCH": "True", "CLARY_IMAGE_VERSION": "1.7-1"}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, N_FEATURES))
    matrix = xgboost.DMatrix(rows, rows[:, 0] + rows[:, 1] > 0)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5)
    folder = tmp_path_factory.mktemp("model")
    booster.save_model(folder / "model.ubj")
    os.replace(folder / "model.ubj", folder / "xgboost-model")
    return base.find("xgboost").load(folder, ENVIRON)


def by_payload(predictor, body, processing, strategy, limit, content_type, assemble_with):
    """Transform as a replica would be asked: one payload after the other."""
    written = []
    for payload in split.payloads([body], split="Line", strategy=strategy, limit_bytes=limit):
        question = Question(body=processing.ask(payload), content_type=content_type)
        (answer,) = predictor.predict_many([question])
        if answer.status >= 400:
            return None
        written.append(assembled(processing.answer(payload, answer.body), assemble_with))
    return b"".join(written)


def directly(predictor, body, processing, strategy, limit, content_type, assemble_with):
    """Transform as the program in the sandbox does: stretches of lines as they come."""
    is_single = strategy == split.SINGLE
    scoring = Scoring(
        predictor,
        processing,
        content_type=content_type,
        assemble_with=assemble_with,
        is_single=is_single,
    )
    written = []
    for block in split.payloads([body], split="Line", limit_bytes=limit):
        status, found = scoring.answer(memoryview(block))
        if status >= 400:
            return None
        written.append(found)
    return b"".join(written)


values = st.one_of(
    st.floats(-100, 100).map(lambda value: f"{value:.6g}"),
    st.floats(-1, 1).map(repr),
    st.sampled_from(["", "1e3", " 2", "nan", '"3"', "x"]),
)
PROCESSING = [
    {},
    {"JoinSource": "Input"},
    {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    {"OutputFilter": "$[-1]", "JoinSource": "Input"},
]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(values, min_size=N_FEATURES, max_size=N_FEATURES), min_size=1, max_size=12),
    chosen=st.sampled_from(PROCESSING),
    strategy=st.sampled_from([split.SINGLE, split.MULTI]),
    limit=st.integers(200, 1000),
    assemble_with=st.sampled_from(["Line", "None"]),
    ends=st.booleans(),
)
def test_both_ways_write_the_same_bytes(predictor, rows, chosen, strategy, limit, assemble_with, ends):
    lead = "an id," if "InputFilter" in chosen else ""
    body = ("\n".join(lead + ",".join(row) for row in rows) + ("\n" if ends else "")).encode()
    processing = Processing.of(chosen, content_type="text/csv", split="Line")
    before, columns.WORTH_BYTES = columns.WORTH_BYTES, 0  # the compiled way, however short
    try:
        given_ = (body, processing, strategy, limit, "text/csv", assemble_with)
        try:
            known = by_payload(predictor, *given_)
        except RecordError:
            known = None
        assert directly(predictor, *given_) == known
    finally:
        columns.WORTH_BYTES = before


def test_a_model_that_reads_csv_otherwise_is_asked_in_its_own_way(predictor, monkeypatch):
    seen = []

    def decode(question):
        seen.append(question.body)
        return np.zeros((question.body.count(b"\n"), N_FEATURES), np.float32)

    monkeypatch.setattr(type(predictor), "decode", lambda self, question: decode(question))
    monkeypatch.setattr(columns, "WORTH_BYTES", 0)
    scoring = Scoring(predictor, Processing(), content_type="text/csv")
    first = scoring.answer(memoryview(b"1,2,3\n4,5,6\n"))
    assert first == scoring.answer(memoryview(b"7,8,9\n0,1,2\n"))
    assert len(seen) >= 3


def test_blocks_come_back_through_shared_memory(predictor):
    ours, theirs = socket.socketpair()
    scoring = Scoring(predictor, Processing(), content_type="text/csv", assemble_with="Line")
    thread = threading.Thread(target=serve, args=(Line(theirs), scoring), kwargs={"threads": 2})
    thread.start()
    slots, descriptor = Slots.make(3, 1 << 12)
    line = Line(ours)
    line.introduce(descriptor, {"n_slots": 3, "slot_bytes": slots.slot_bytes})
    os.close(descriptor)
    assert line.receive() == {"n_columns": N_FEATURES}
    blocks = [b"1,2,3\n", b"oops\n", b"0,0,0\n" * 300]
    for slot, block in enumerate(blocks):
        slots.write(slot, block)
        line.send({"slot": slot, "length": len(block)})
    found = {}
    for _ in blocks:
        told = line.receive()
        body = (
            line.read(told["length"]) if told["follows"] else bytes(slots.part(told["slot"], told["length"]))
        )
        found[told["slot"]] = told["status"], body
    line.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [found[slot][0] for slot in range(3)] == [200, 415, 200]
    assert found[2][1].count(b"\n") == 300
    assert b"not a number" in found[1][1]
    slots.close()
