"""The whole console walked, link by link and form by form: a page that is added is held to this at once."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import pytest

from clary.testing.marked import MARKUP, SECRET, Marked
from clary.testing.server import Account, ClaryServer

from .browser import BASE, Browser
from .conftest import signed_in
from .crawl import Walk, missing, patterns

PUBLIC = {"sign_in", "region"}
"""Pages for who is not signed in."""


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def marked(account: Account) -> Iterator[Marked]:
    marked = Marked.of(account)
    yield marked
    marked.clear()


@pytest.fixture(scope="module")
def walk(account: Account, marked: Marked) -> Walk:
    bucket, markup = marked.names["bucket"], quote(MARKUP)
    return Walk.of(
        signed_in(account),
        f"/evaluate?uris=s3://{bucket}/predictions.csv&slice=part",
        f"/lineage?of=s3://{bucket}/{markup}",
        f"/experiments?name={markup}",
        f"/?notice={markup}",
        f"/train?data={markup}",
        f"/train/xgboost?data={markup}",
    )


@pytest.fixture(scope="module")
def stranger(clary_server: ClaryServer) -> Account:
    return clary_server.account()


def example(pattern: str) -> str:
    """Return a path that a page's pattern takes, with all of its groups filled."""
    found = pattern.replace("(?:", "(").replace(")?", ")")
    for old, new in ((r"\[[^]]+\]\+|\\w\+|\.\*", "d-x"), (r"\|\w+|[()]", "")):
        found = re.sub(old, new, found)
    match = re.fullmatch(pattern, found) or re.fullmatch(pattern, found := found.replace("-", ""))
    assert match is not None, f"{pattern}: {found} is no example of it"
    return found


def test_every_page_is_come_to_by_links(walk: Walk) -> None:
    assert missing(walk, without=("sign_in", "region")) == set()
    wrong = {path: page.status for path, page in walk.pages.items() if page.status not in {200, 303}}
    assert wrong == {}, "a link leads nowhere"


def test_no_page_takes_a_text_for_markup(walk: Walk) -> None:
    shown = [path for path, page in walk.pages.items() if MARKUP in page.words]
    assert len(shown) > 12, "markup is there to be seen"
    for path, page in walk.pages.items():
        assert "<img src=x" not in page.text, path
        assert not re.search(r"<script(?![^>]*\b(src|type=\"application/json\"))", page.text), path
        if page.status == 200 and "html" in page.headers["content-type"]:
            assert "script-src" in page.headers["content-security-policy"], path


def test_a_filter_that_the_service_refuses_is_text_too(walk: Walk) -> None:
    page = walk.browser.get(f"/jobs/training?name={quote(MARKUP)}")
    assert (page.status, MARKUP in page.words, MARKUP in page.text) == (400, True, False)


def test_who_is_not_signed_in_comes_to_no_page(account: Account, walk: Walk) -> None:
    nobody = Browser(account.url)
    for path in walk.pages:
        page = nobody.once("GET", path)
        assert page.status == 303, path
        assert page.headers["location"].startswith(f"{BASE}/sign-in"), path
    for name, pattern in patterns().items():
        if name in PUBLIC:
            continue
        path = example(pattern)
        for method in ("GET", "POST", "PUT", "DELETE"):
            page = nobody.once(method, path, {} if method == "POST" else None)
            assert page.status == 303, (method, path)
            assert page.headers["location"].startswith(f"{BASE}/sign-in"), (method, path)
        assert nobody.once("GET", f"{path}?live=1").status == 401, path


def test_every_form_of_another_site_is_refused(account: Account, stranger: Account, walk: Walk) -> None:
    token = walk.browser.get("/").form_token
    theirs = signed_in(stranger).get("/").form_token
    forms = {(form.path, tuple(sorted(form.fields))): form for form in walk.forms}.values()
    assert len(forms) > 25
    for path, fields in [(form.path, form.fields) for form in forms] + [
        (example(each), {}) for name, each in patterns().items() if name not in PUBLIC
    ]:
        if path.startswith("/sign-in"):
            continue
        bare = {name: value for name, value in fields.items() if name != "form_token"}
        attempts: list[tuple[dict[str, str], dict[str, str]]] = [
            (bare, {}),
            (bare | {"form_token": ""}, {}),
            (bare | {"form_token": theirs}, {}),
            (bare | {"form_token": token}, {"origin": "http://evil.example"}),
            (bare | {"form_token": token}, {"origin": "null"}),
        ]
        for form, headers in attempts:
            assert walk.browser.once("POST", path, form, headers).status == 403, (path, form, headers)
    assert walk.browser.get("/").status == 200, "nobody was signed out"
    kept = Browser(account.url, dict(walk.browser.cookies))
    kept.once("POST", "/sign-in?out=1", {"form_token": theirs})
    assert "Sign out" in walk.browser.get("/").words


def test_another_sites_form_signs_nobody_in(account: Account) -> None:
    form = {"name": account.access_key_id, "secret": account.secret_access_key}
    browser = Browser(account.url)
    assert browser.once("POST", "/sign-in", form, {"origin": "http://evil.example"}).status == 403
    assert browser.cookies == {}


def everything(account: Account) -> dict[str, Any]:
    """Return what an account has, as far as its lists tell."""
    sagemaker, iam = account.client("sagemaker"), account.client("iam")
    lists = {
        "training_jobs": "TrainingJobSummaries",
        "hyper_parameter_tuning_jobs": "HyperParameterTuningJobSummaries",
        "endpoints": "Endpoints",
        "models": "Models",
        "notebook_instances": "NotebookInstances",
        "domains": "Domains",
        "user_profiles": "UserProfiles",
        "spaces": "Spaces",
        "apps": "Apps",
        "experiments": "ExperimentSummaries",
        "processing_jobs": "ProcessingJobSummaries",
        "transform_jobs": "TransformJobSummaries",
        "model_package_groups": "ModelPackageGroupSummaryList",
    }
    found = {name: getattr(sagemaker, f"list_{name}")()[items] for name, items in lists.items()}
    found["users"] = iam.list_users()["Users"]
    found["keys"] = iam.list_access_keys(UserName="ada")["AccessKeyMetadata"]
    s3 = account.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        found[bucket["Name"]] = [
            (each["Key"], each["ETag"])
            for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
        ]
    return found


def test_another_account_reads_and_changes_nothing_by_any_address(
    account: Account, stranger: Account, walk: Walk
) -> None:
    other, before = signed_in(stranger), everything(account)
    for path in walk.pages:
        page = other.once("GET", path)
        assert SECRET not in page.text, path
        assert account.account_id not in page.text or account.account_id in unquote(path), path
        assert "/_clary/notebook/" not in page.headers.get("location", ""), path
    token = other.get("/").form_token
    for form in walk.forms:
        if not form.path.startswith("/sign-in"):
            sent = form.fields | {"form_token": token}
            page = other.once("POST", form.path, sent)
            assert page.status < 500, (form, page.words)
            assert SECRET not in page.text, form
            location = page.headers.get("location", "")
            assert not location.startswith("http") or account.account_id not in location, form
    assert everything(account) == before
