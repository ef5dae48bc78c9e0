"""An account, and a browser that is signed in to it."""

import pytest

from clary.testing.server import Account, ClaryServer

from .browser import Browser


def signed_in(account: Account) -> Browser:
    browser = Browser(account.url)
    page = browser.post("/sign-in", {"name": account.access_key_id, "secret": account.secret_access_key})
    assert page.status == 200, page.words
    return browser


@pytest.fixture
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture
def browser(account: Account) -> Browser:
    return signed_in(account)
