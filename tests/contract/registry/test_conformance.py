"""Each endpoint of OCI's distribution specification 1.1 has tests; where OCI's own program is, it runs."""

import ast
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from clary.testing.registry import password_of

HERE = Path(__file__).parent
PROGRAM = "CLARY_TEST_OCI_CONFORMANCE"
"""Names OCI's program: `go build` in the folder `conformance` of opencontainers/distribution-spec (2026)."""
TESTED = {
    "end-1 GET /v2/": (
        "test_the_base_path_answers_200_to_who_is_logged_in",
        "test_anonymous_callers_are_told_how_to_log_in",
    ),
    "end-2 GET, HEAD blob": (
        "test_head_and_get_of_an_existing_blob_are_200",
        "test_head_and_get_of_a_nonexistent_blob_are_404",
        "test_an_upload_of_several_segments_is_read_by_any_range",
    ),
    "end-3 GET, HEAD manifest": (
        "test_a_manifest_comes_back_byte_for_byte_by_tag_and_digest",
        "test_a_nonexistent_manifest_is_404",
        "test_the_content_type_is_kept",
    ),
    "end-4a POST upload": ("test_chunks_continue_where_the_last_ended_and_out_of_order_ones_are_416",),
    "end-4b POST upload with digest": ("test_post_with_digest_yields_201_or_202_and_a_location",),
    "end-5 PATCH upload": (
        "test_a_stream_of_unknown_length_is_taken",
        "test_chunks_continue_where_the_last_ended_and_out_of_order_ones_are_416",
    ),
    "end-6 PUT upload": (
        "test_a_monolithic_put_yields_201",
        "test_a_digest_that_is_not_the_bytes_own_is_refused_and_ends_the_upload",
        "test_sha512_is_taken_whether_the_bytes_come_with_it_or_before",
    ),
    "end-7 PUT manifest": (
        "test_a_manifest_whose_layer_is_not_there_is_refused",
        "test_a_manifest_under_anothers_digest_or_a_bad_tag_is_refused",
        "test_an_index_needs_its_images_and_keeps_them",
        "test_the_answer_to_a_referrer_names_its_subject",
    ),
    "end-8a, 8b GET tags": ("test_tags_come_in_their_order_page_by_page",),
    "end-9 DELETE manifest or tag": ("test_a_deleted_tag_leaves_the_image_and_a_deleted_image_no_tag",),
    "end-10 DELETE blob": (
        "test_a_deleted_blob_is_404_in_its_repository_alone",
        "test_the_layer_of_an_image_is_not_deleted_under_it",
    ),
    "end-11 POST mount": (
        "test_a_blob_is_mounted_from_another_repository",
        "test_a_blob_that_cannot_be_mounted_begins_an_upload",
    ),
    "end-12a, 12b GET referrers": ("test_referrers_are_found_whether_their_subject_is_there_or_not",),
    "end-13 GET upload": ("test_chunks_continue_where_the_last_ended_and_out_of_order_ones_are_416",),
    "end-14 DELETE upload": ("test_a_cancelled_upload_is_gone",),
}


def test_every_endpoint_of_the_specification_has_its_tests() -> None:
    trees = [ast.parse((HERE / name).read_text()) for name in ("test_blob.py", "test_manifest.py")]
    known = {each.name for tree in trees for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
    assert {name for names in TESTED.values() for name in names} <= known


@pytest.mark.slow
@pytest.mark.documented
def test_the_published_conformance_program_finds_no_failure(clary_server, tmp_path: Path) -> None:
    program = os.environ.get(PROGRAM) or pytest.skip(f"needs OCI's conformance program: {PROGRAM}=PATH")
    account = clary_server.account()
    for name in ("conformance/repo1", "conformance/repo2"):
        account.client("ecr").create_repository(repositoryName=name)
    asked = {
        "OCI_REGISTRY": account.url.partition("://")[2],
        "OCI_TLS": "disabled",
        "OCI_USERNAME": "AWS",
        "OCI_PASSWORD": password_of(account),
        "OCI_RESULTS_DIR": str(tmp_path),
        "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
        "OCI_API_BLOBS_DIGEST_HEADER": "true",
        "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    }
    subprocess.run([program], env=os.environ | asked, check=True, timeout=150, stdout=subprocess.DEVNULL)
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.get("tests", "0")) > 500
