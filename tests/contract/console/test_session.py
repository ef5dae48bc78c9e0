"""Who gets in: sign-in, links, passwords; sessions, forms, other accounts."""

import http.client
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from clary.kernel import ids
from clary.testing.jobs import new_bucket
from clary.testing.server import Account, ClaryServer

from .browser import Browser
from .conftest import signed_in

PAGES = (
    "/",
    "/jobs/training",
    "/endpoints",
    "/models",
    "/data",
    "/account",
    "/experiments",
    "/lineage",
    "/studio",
    "/health",
    "/coverage",
    "/evaluate",
)


def run_command(server: ClaryServer, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "clary.cli.main", *words, "--data-dir", str(server.data_dir)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_who_is_not_signed_in_to_sign_in(clary_server: ClaryServer, path: str) -> None:
    page = Browser(clary_server.url).get(path)
    assert page.path == "/sign-in" or page.path.startswith("/sign-in?")
    assert "Sign in to Clary" in page.words


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_shown_and_says_what_runs_in_it(browser: Browser, path: str) -> None:
    page = browser.get(path)
    assert page.status == 200, page.words
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert f"script-src {browser.url}/_clary/console/static/" in policy
    assert not re.search(r"<script(?![^>]*\b(src|type=\"application/json\"))", page.text)
    assert not re.search(r"\son\w+=|\sstyle=", page.text)
    assert len(page.text.encode()) < 150_000


def test_a_page_that_is_not_there_says_so(browser: Browser) -> None:
    for path in (
        "/nothing",
        "/jobs/none",
        "/jobs/training/none-such",
        "/endpoints/none-such",
        "/data/none-such-bucket",
    ):
        page = browser.get(path)
        assert page.status == 404, path
        assert "Traceback" not in page.text


@pytest.mark.parametrize(
    ("name", "secret"), [("", ""), ("AKIAUNKNOWN", "x"), ("default", ""), ("default", "guess")]
)
def test_wrong_keys_and_passwords_do_not_sign_in(clary_server: ClaryServer, name: str, secret: str) -> None:
    browser = Browser(clary_server.url)
    page = browser.post("/sign-in", {"name": name, "secret": secret})
    assert page.status == 403
    assert browser.cookies == {}


def test_a_secret_of_another_key_does_not_sign_in(clary_server: ClaryServer, account: Account) -> None:
    other = clary_server.account()
    page = Browser(account.url).post(
        "/sign-in", {"name": account.access_key_id, "secret": other.secret_access_key}
    )
    assert page.status == 403


def test_a_link_of_the_command_line_signs_in_once(clary_server: ClaryServer, account: Account) -> None:
    path = run_command(clary_server, "console", "--account", account.name).partition("/_clary/console")[2]
    page = Browser(account.url).get(path)
    assert account.account_id in page.words
    again = Browser(account.url).get(path)
    assert again.status == 403
    assert "This link was used" in again.words


def test_a_console_password_signs_in_with_the_accounts_name(
    clary_server: ClaryServer, account: Account
) -> None:
    run_command(
        clary_server, "console", "password", "--account", account.name, "--password", "correct horse battery"
    )
    browser = Browser(account.url)
    assert browser.post("/sign-in", {"name": account.name, "secret": "correct horse batterz"}).status == 403
    page = browser.post("/sign-in", {"name": account.name, "secret": "correct horse battery"})
    assert account.account_id in page.words


def test_the_cookie_is_unseen_by_scripts_and_other_sites(account: Account) -> None:
    browser = Browser(account.url)
    page = browser.once(
        "POST", "/sign-in", {"name": account.access_key_id, "secret": account.secret_access_key}
    )
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/_clary/console" in cookie
    assert account.access_key_id not in cookie
    assert account.secret_access_key not in page.text


def test_a_session_that_was_signed_out_is_over(browser: Browser, account: Account) -> None:
    kept = dict(browser.cookies)
    browser.post("/sign-in?out=1", {"form_token": browser.get("/").form_token})
    assert "Sign in to Clary" in Browser(account.url, kept).get("/account").words


def test_a_cookie_that_was_changed_is_none(browser: Browser, account: Account) -> None:
    (name, value), *_ = browser.cookies.items()
    for forged in (value[:-1] + ("0" if value[-1] != "0" else "1"), account.access_key_id + ".", "x" * 200):
        assert "Sign in to Clary" in Browser(account.url, {name: forged}).get("/").words


def test_a_form_of_another_site_is_refused(browser: Browser, account: Account) -> None:
    bucket = new_bucket(account)
    account.client("s3").put_object(Bucket=bucket, Key="kept.txt", Body=b"x")
    token = browser.get("/").form_token
    path = f"/data/{bucket}/kept.txt"
    assert browser.post(path, {"do": "delete"}).status == 403
    assert browser.post(path, {"do": "delete", "form_token": "0" * 64}).status == 403
    assert (
        browser.post(path, {"do": "delete", "form_token": token}, origin="http://evil.example").status == 403
    )
    account.client("s3").head_object(Bucket=bucket, Key="kept.txt")
    assert (
        "was deleted" in browser.post(path, {"do": "delete", "form_token": token}, origin=account.url).words
    )


def test_another_accounts_things_are_on_no_page(clary_server: ClaryServer, browser: Browser) -> None:
    other = clary_server.account()
    bucket = new_bucket(other)
    other.client("s3").put_object(Bucket=bucket, Key="secret.txt", Body=b"the other's words")
    for path in (f"/data/{bucket}", f"/data/{bucket}/secret.txt"):
        page = browser.get(path)
        assert page.status >= 400, path
        assert "the other's words" not in page.text
    assert bucket not in browser.get("/data").text


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_signing_in_leads_nowhere_else(account: Account, target: str) -> None:
    form = {"name": account.access_key_id, "secret": account.secret_access_key, "next": target}
    page = Browser(account.url).once("POST", "/sign-in", form)
    assert page.headers["location"] == "/_clary/console/"


def test_markup_in_names_is_shown_as_text(browser: Browser, account: Account) -> None:
    bucket = new_bucket(account)
    evil = "<script>alert(1)<script>.csv"
    account.client("s3").put_object(Bucket=bucket, Key=evil, Body=b"<b>x</b>,<img src=x onerror=alert(1)>\n")
    listing = browser.get(f"/data/{bucket}")
    assert "<script>alert" not in listing.text
    assert evil in listing.words
    shown = browser.get(f"/data/{bucket}/%3Cscript%3Ealert(1)%3Cscript%3E.csv")
    assert shown.status == 200
    assert "<img src=x" not in shown.text
    assert "<script>alert" not in shown.text


def test_a_notice_in_an_address_is_text(browser: Browser) -> None:
    page = browser.get("/?notice=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.text


def test_static_files_can_be_kept_and_lead_nowhere_else(clary_server: ClaryServer, browser: Browser) -> None:
    address = re.search(r'href="(/_clary/console/static/console.css[^"]*)"', browser.get("/").text)
    assert address is not None
    connection = http.client.HTTPConnection(urlsplit(clary_server.url).netloc, timeout=30)
    connection.request("GET", address[1])
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/none.css", "/static/"):
        assert Browser(clary_server.url).once("GET", path).status == 404, path


def test_two_sessions_in_one_region_each_do_not_mix(account: Account) -> None:
    here, there = signed_in(account), signed_in(account)
    there.get("/region?name=eu-west-1&next=/account")
    assert 'value="eu-west-1"' in there.get("/account").text
    assert 'value="us-east-1"' in here.get("/account").text
    assert "is no region" in here.get(f"/region?name={ids.short()}&next=/").words


def test_a_page_in_a_bucket_cannot_act_as_the_console(account: Account) -> None:
    bucket = new_bucket(account)
    s3 = account.client("s3")
    s3.put_object(Bucket=bucket, Key="page.html", Body=b"<script>1</script>", ContentType="text/html")
    headers = s3.get_object(Bucket=bucket, Key="page.html")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-security-policy"] == "sandbox"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_browser_at_the_address_itself_comes_to_the_console(clary_server: ClaryServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(clary_server.url).netloc, timeout=30)
    connection.request("GET", "/", headers={"accept": "text/html,application/xhtml+xml"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["location"]) == (303, "/_clary/console/")
    answer.read()
    connection.request("GET", "/")
    assert connection.getresponse().status == 403
