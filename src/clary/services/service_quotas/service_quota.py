"""ServiceQuota: the limits that hold here, as the operator's settings have them."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation

CODE, NAME = "sagemaker", "Amazon SageMaker"
NOTEBOOKS, APPS = "L-04CE2E67", "L-1E5C5F9B"
"""Of the same kind as AWS's codes, which differ by instance type where these do not."""


def _quotas(call: Call) -> list[dict[str, Any]]:
    limit = float(call.world.settings.notebook_limit)
    rows = ((NOTEBOOKS, "Total number of notebook instances"), (APPS, "Total number of running Studio apps"))
    return [
        {
            "ServiceCode": CODE,
            "ServiceName": NAME,
            "QuotaArn": f"arn:aws:servicequotas:{call.region}:{call.account}:{CODE}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": limit,
            "Unit": "None",
            "Adjustable": False,
            "GlobalQuota": False,
        }
        for code, name in rows
    ]


def _expect(request: Mapping[str, Any]) -> None:
    if request["ServiceCode"] != CODE:
        raise AwsError(
            f"ServiceCode '{request['ServiceCode']}' has no quotas here; it must be '{CODE}'.",
            code="NoSuchResourceException",
        )


@operation("ListServices")
def list_services(_call: Call, _request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one service that has quotas."""
    return {"Services": [{"ServiceCode": CODE, "ServiceName": NAME}]}


@operation("ListServiceQuotas")
def list_service_quotas(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return every quota; they fit one page."""
    _expect(request)
    code = request.get("QuotaCode")
    return {"Quotas": [each for each in _quotas(call) if code in {None, each["QuotaCode"]}]}


@operation("GetServiceQuota")
def get_service_quota(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one quota."""
    _expect(request)
    for each in _quotas(call):
        if each["QuotaCode"] == request["QuotaCode"]:
            return {"Quota": each}
    raise AwsError(
        f"QuotaCode '{request['QuotaCode']}' is unknown; ListServiceQuotas has them.",
        code="NoSuchResourceException",
    )
