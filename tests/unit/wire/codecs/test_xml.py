import pytest

from clary.kernel.errors import ValidationException
from clary.wire.codecs import xml
from clary.wire.service import service

TAGGING = service("s3").operations["PutBucketTagging"].input.members["Tagging"]
ACL = service("s3").operations["PutBucketAcl"].input.members["AccessControlPolicy"]


def test_a_document_is_read_whatever_its_namespace():
    body = b'<Tagging xmlns="http://a"><TagSet><Tag><Key>a</Key><Value/></Tag></TagSet><New/></Tagging>'
    assert xml.reader(TAGGING)(xml.parse(body)) == {"TagSet": [{"Key": "a", "Value": ""}]}


def test_attributes_are_members():
    grant = {"Grants": [{"Grantee": {"ID": "me", "Type": "CanonicalUser"}, "Permission": "READ"}]}
    parts: list[str] = []
    xml.writer(ACL)(parts, "AccessControlPolicy", grant)
    text = "".join(parts)
    assert 'xsi:type="CanonicalUser"' in text
    assert xml.reader(ACL)(xml.parse(text.encode())) == grant


@pytest.mark.parametrize(
    "body",
    [
        b"<a>",
        b"",
        b"nonsense",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
    ],
)
def test_what_is_no_plain_xml_is_refused(body):
    with pytest.raises(ValidationException, match="must be"):
        xml.parse(body)


def test_what_xml_cannot_carry_is_replaced():
    assert xml.escape("a\x00<b>\r&") == "a\ufffd&lt;b&gt;&#xD;&amp;"
