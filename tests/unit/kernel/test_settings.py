import socket

import pytest

from clary.kernel.settings import Settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1:4747"),
        ({"host": "10.0.0.5", "port": 80}, "10.0.0.5:80"),
        ({"host": "0.0.0.0"}, f"{socket.gethostname().lower()}:4747"),
        ({"host": "::", "advertise": "ml.example.com:443"}, "ml.example.com:443"),
        ({"host": "0.0.0.0", "registry_host": "registry.example.com"}, "registry.example.com"),
    ],
)
def test_images_are_named_by_an_address_that_whoever_may_ask_has_too(given, expected):
    assert Settings(**given).registry == expected
