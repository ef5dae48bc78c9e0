"""Filters, joins and assembly."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit.transform.records import Processing, RecordError, assembled, fields_of, kind_of, lines_of


def processing(content_type="text/csv", split="Line", stamps=None, **given):
    return replace(Processing.of(given, content_type=content_type, split=split), stamps=stamps)


@pytest.mark.documented
def test_an_id_column_is_kept_from_the_model_and_comes_back_with_the_answer():
    steps = processing(InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    payload = b"id1,1,2\nid2,3,4\n"
    assert steps.ask(payload) == b"1,2\n3,4\n"
    assert steps.answer(payload, b"0.5\n0.75\n") == b"id1,0.5\nid2,0.75\n"


@pytest.mark.documented
def test_answers_are_appended_to_the_rows_of_csv():
    steps = processing(JoinSource="Input")
    assert steps.answer(b"1,2\n3,4", b"0.5,0.1\n0.75,0.2\n") == b"1,2,0.5,0.1\n3,4,0.75,0.2\n"


def test_quoted_fields_stay_as_they_are_written():
    steps = processing(InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    payload = b'"a, ""b""",1,2\r\n'
    assert steps.ask(payload) == b"1,2\n"
    assert steps.answer(payload, b"0.5\n") == b'"a, ""b""",0.5\n'


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_characters="\n\r"), max_size=5), min_size=1, max_size=5
    )
)
def test_fields_are_those_of_a_csv_reader(values):
    written = [
        f'"{each.replace(chr(34), chr(34) * 2)}"' if set(each) & set('",') else each for each in values
    ]
    assert fields_of(",".join(written).encode()) == [each.encode() for each in written]


@pytest.mark.documented
def test_json_lines_get_the_answer_as_a_member():
    steps = processing("application/jsonlines", InputFilter="$.features", JoinSource="Input")
    payload = b'{"id": 1, "features": [1, 2]}\n{"id": 2, "features": [3, 4]}\n'
    assert steps.ask(payload) == b"[1,2]\n[3,4]\n"
    joined = steps.answer(payload, b'{"score": 0.5}\n0.75\n')
    assert [json.loads(each) for each in lines_of(joined)] == [
        {"id": 1, "features": [1, 2], "SageMakerOutput": {"score": 0.5}},
        {"id": 2, "features": [3, 4], "SageMakerOutput": 0.75},
    ]


@pytest.mark.documented
def test_json_that_is_no_object_becomes_one():
    steps = processing("application/json", split="None", JoinSource="Input")
    assert json.loads(steps.answer(b"[1, 2]", b"[0.5]")) == {
        "SageMakerInput": [1, 2],
        "SageMakerOutput": [0.5],
    }


@pytest.mark.documented
def test_the_output_filter_chooses_of_the_joined_record():
    steps = processing("application/json", JoinSource="Input", OutputFilter="$['id','SageMakerOutput']")
    assert steps.answer(b'{"id": 1, "x": 2}\n', b"0.5") == b'{"id":1,"SageMakerOutput":0.5}\n'


def test_without_a_join_the_output_filter_chooses_of_the_answer():
    assert processing(OutputFilter="$[0]").answer(b"1,2\n", b"0.1,0.9\n") == b"0.1\n"


def test_ids_and_times_are_appended():
    stamps = iter([("i1", "t1"), ("i2", "t2"), ("i3", "t3")])
    steps = processing(stamps=lambda: next(stamps))
    assert steps.answer(b"1\n2\n", b"0.5\n0.6\n") == b"0.5,i1,t1\n0.6,i2,t2\n"
    steps = processing("application/jsonlines", stamps=lambda: next(stamps))
    assert json.loads(steps.answer(b"1\n", b"0.5\n")) == {
        "SageMakerOutput": 0.5,
        "SageMakerInferenceId": "i3",
        "SageMakerInferenceTime": "t3",
    }


@pytest.mark.parametrize("content_type", ["text/csv", "application/jsonlines"])
def test_another_number_of_answers_cannot_be_joined(content_type):
    with pytest.raises(RecordError, match="mismatched line count between the input and the output: 2 and 1"):
        processing(content_type, JoinSource="Input").answer(b"1\n2\n", b"0.5\n")


@pytest.mark.parametrize(
    ("content_type", "given", "payload", "text"),
    [
        ("text/csv", {"InputFilter": "$[5]"}, b"1,2\n", r"InputFilter \$\[5\]: index 5 is not within the 2"),
        (
            "application/jsonlines",
            {"InputFilter": "$.x"},
            b'{"y": 1}\n',
            r"InputFilter \$.x: there is no 'x'",
        ),
        (
            "application/jsonlines",
            {"InputFilter": "$.x"},
            b"{y}\n",
            "Failed to parse input as JSON: record 1",
        ),
    ],
)
def test_a_record_that_does_not_suit_says_so(content_type, given, payload, text):
    with pytest.raises(RecordError, match=text):
        processing(content_type, **given).ask(payload)


def test_an_answer_that_is_not_json_says_so():
    with pytest.raises(RecordError, match="Failed to parse output from the algorithm as JSON"):
        processing("application/jsonlines", JoinSource="Input").answer(b"{}\n", b"<html>\n")


def test_nothing_to_do_leaves_bytes_as_they_are():
    steps = processing()
    assert steps.asks_as_is
    assert steps.answers_as_is
    assert steps.ask(b"a\r\n\n") == b"a\r\n\n"
    assert steps.answer(b"", b"b") == b"b"


@pytest.mark.documented
@pytest.mark.parametrize(
    ("answer", "how", "written"),
    [(b"a", "Line", b"a\n"), (b"a\n", "Line", b"a\n"), (b"a", "None", b"a"), (b"", "Line", b"\n")],
)
def test_with_line_every_answer_ends_a_line(answer, how, written):
    assert assembled(answer, how) == written


def test_kinds_go_by_the_content_type_without_its_parameters():
    assert kind_of("text/csv; charset=utf-8") == "csv"
    assert kind_of("image/png") == ""
