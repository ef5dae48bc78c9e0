"""ModelPackage: a registered model: a version of a group, or a package of its own."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.engine import notes
from clary.kernel.errors import AwsError, ConflictException, ValidationException
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.families import Prepared, document_of, insert, prepared, taken
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker import _model_package_rules as rules
from clary.services.sagemaker import _model_package_trace as trace
from clary.services.sagemaker._experiments import held, remove, signed_by
from clary.services.sagemaker._model_package_machine import MACHINE, details, validation
from clary.services.sagemaker.model_package_group import MODEL_PACKAGE_GROUP, versions_of
from clary.store import records
from clary.store.base import Duplicate
from clary.store.conditions import Clause, Condition
from clary.store.records import Record

TOKEN = "ModelPackageToken"  # noqa: S105 - a noun, not a secret
"""Noun of the records that remember which package a `ClientToken` made."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateModelPackage beyond the model, and fill in what Describe always shows."""
    given = {**rules.sourced(call, request), **request}
    shown: dict[str, Any] = {
        "CertifyForMarketplace": False,
        "CreatedBy": signed_by(call.principal),
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        **{name: given[name] for name in rules.CLONED if name in given},
    }
    if "ModelPackageGroupName" in request:
        shown["ModelApprovalStatus"] = request.get("ModelApprovalStatus", "PendingManualApproval")
    if "InferenceSpecification" in given:
        where = "InferenceSpecification"
        shown[where] = rules.specification(call, given[where], where)
    if "AdditionalInferenceSpecifications" in given:
        more = given["AdditionalInferenceSpecifications"]
        shown["AdditionalInferenceSpecifications"] = rules.additional(call, more)
    if "ModelCard" in request:
        shown["ModelCard"] = rules.card(request["ModelCard"])
    return shown


MODEL_PACKAGE = Resource(
    noun="ModelPackage",
    arn="model-package/{ModelPackageName}",
    status="ModelPackageStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,  # the model declares no ResourceNotFound for it
    missing_text="ModelPackage {arn} does not exist.",
    taken="ValidationException",
    taken_text="ModelPackage already exists: {arn}",  # the SDKs look for "ModelPackage already exists"
    admit=admit,
    note=trace.of_package,
)


@operation("CreateModelPackage")
def create_model_package(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Register one: the next version of its group, or a package of a name that nobody has."""
    rules.check_members(request)
    given = {name: value for name, value in request.items() if name != "ClientToken"}
    if "ModelPackageGroupName" in given:
        group = call.find("ModelPackageGroup", given["ModelPackageGroupName"]).key
        given |= {"ModelPackageGroupName": group, "ModelPackageName": group}
    else:
        group = ""
        given.pop("ModelApprovalStatus", None)  # the SDKs send it; it is for versions
    token = _token(call, request)
    if token is not None and (known := _known(call.read(_twin, token), token)):
        return {"ModelPackageArn": known}
    made, job = _validated(call, prepared(MODEL_PACKAGE, call, given))

    def unit(conn: Connection) -> str:
        mine = made
        if group:
            parent = held(conn, call, MODEL_PACKAGE_GROUP, group)  # one version after another
            if token is not None and (twin := _known(_twin(conn, token), token)):
                return twin
            mine = _numbered(conn, call, parent, made)
        if token is not None:
            mine = _remembered(conn, token, mine)
        for each in filter(None, (mine, job)):
            insert(conn, each)
        return mine.record.arn

    try:
        arn: str = call.write(unit)
    except Duplicate:
        if token is not None and (known := _known(call.read(_twin, token), token)):
            return {"ModelPackageArn": known}
        raise taken(MODEL_PACKAGE, given["ModelPackageName"], made.record.arn) from None
    if job is not None:
        call.world.nudge(job.record.arn)
    return {"ModelPackageArn": arn}


def _validated(call: Call, made: Prepared) -> tuple[Prepared, Prepared | None]:
    """Return a package and the job that validates it; one that needs none is complete at once."""
    job = validation(call, made.record.document)
    if job is None:
        return replace(made, work=None, record=replace(made.record, status="Completed")), None
    [profile] = made.record.document["ValidationSpecification"]["ValidationProfiles"]
    document = {**made.record.document, **details(profile["ProfileName"], "InProgress")}
    private = {**made.record.private, "validation": job.record.arn}
    return replace(made, record=replace(made.record, document=document, private=private)), job


def _numbered(conn: Connection, call: Call, group: Record, made: Prepared) -> Prepared:
    """Return a package as the next version of a group that is held; no number is used again."""
    version = int(group.private.get("last_version", 0)) + 1
    records.update(conn, replace(group, private={**group.private, "last_version": version}))
    key = f"{group.key}/{version}"
    arn = call.arn(MODEL_PACKAGE, key)
    # SDK v3 asks again and deletes by the name that it was shown.
    shown = {"ModelPackageName": key, "ModelPackageVersion": version, "ModelPackageArn": arn}
    document = {**made.record.document, **shown}
    work = None if made.work is None else replace(made.work, arn=arn)
    return replace(made, work=work, record=replace(made.record, key=key, arn=arn, document=document))


def _token(call: Call, request: Mapping[str, Any]) -> Record | None:
    """Return the record that remembers a request by its `ClientToken`, without the package it makes."""
    if "ClientToken" not in request:
        return None
    text = json.dumps(request, sort_keys=True, default=str)
    document = {"Digest": hashlib.sha256(text.encode()).hexdigest()}
    now, token = call.now, request["ClientToken"]
    return Record(call.account, call.region, TOKEN, token, "", "", now, now, document)


def _remembered(conn: Connection, token: Record, made: Prepared) -> Prepared:
    """Write which package a token makes; return the package, which forgets it when it is deleted.

    Raises
    ------
    Duplicate
        The token was given before.
    """
    records.insert(conn, replace(token, document={**token.document, "ModelPackageArn": made.record.arn}))
    private = {**made.record.private, "token": token.key}
    return replace(made, record=replace(made.record, private=private))


def _twin(conn: Connection, token: Record) -> Record | None:
    return records.find(conn, token.account, token.region, TOKEN, token.key)


def _known(twin: Record | None, token: Record) -> str:
    """Return the ARN of the package that the same request made before; empty where there is none.

    Raises
    ------
    ConflictException
        The token came with another request.
    """
    if twin is None:
        return ""
    if twin.document["Digest"] != token.document["Digest"]:
        raise ConflictException(f"ClientToken '{token.key}' was given with another request; give a new one.")
    return str(twin.document["ModelPackageArn"])


@operation("DescribeModelPackage")
def describe_model_package(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one, or all but what its model card tells."""
    shown = document_of(MODEL_PACKAGE, call, call.find("ModelPackage", request["ModelPackageName"]))
    return rules.redacted(shown) if request.get("IncludedData") == "MetadataOnly" else shown


@operation("BatchDescribeModelPackage")
def batch_describe(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return several versions by ARN, and why others cannot be returned."""
    arns = list(dict.fromkeys(request["ModelPackageArnList"]))
    known: Mapping[str, Record] = call.read(records.find_by_arns, arns)
    found, errors = {}, {}
    for arn in arns:
        try:
            call.own(arn)
            record = known.get(arn)
            if record is None or record.noun != "ModelPackage" or record.region != call.region:
                raise call.missing(MODEL_PACKAGE, arn)
            if "ModelPackageVersion" not in record.document:
                raise ValidationException(f"ModelPackage {arn} is no version of a ModelPackageGroup.")
        except AwsError as error:
            errors[arn] = {"ErrorCode": error.wire_code, "ErrorResponse": error.message}
        else:
            found[arn] = document_of(MODEL_PACKAGE, call, record)
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


@operation("ListModelPackages")
def list_model_packages(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page: of unversioned packages, unless a group or a type is named."""
    where: list[Clause] = []
    group = request.get("ModelPackageGroupName")
    if group is not None:
        where.append(versions_of(call.find("ModelPackageGroup", group)))
    kind = request.get("ModelPackageType", "Versioned" if group is not None else "Unversioned")
    if kind != "Both":
        # By the name, <group>/<version>: an index has it, where the document would be read row by row.
        where.append(Condition("key", "contains" if kind == "Versioned" else "not_contains", "/"))
    own = {"ModelPackageGroupName", "ModelPackageType"}
    rest = {name: value for name, value in request.items() if name not in own}
    page = page_of(call, MODEL_PACKAGE, rest, *where)
    return {"ModelPackageSummaryList": page.items} | (
        {"NextToken": page.next_token} if page.next_token else {}
    )


@operation("UpdateModelPackage")
def update_model_package(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change what may change of one; an approval's change is told to lineage in the same transaction."""
    package = call.find("ModelPackage", request["ModelPackageArn"])
    change = rules.change_of(call, package, request)
    token = request.get("ClientToken", "")

    def unit(conn: Connection) -> None:
        before = held(conn, call, MODEL_PACKAGE, package.key)
        if token and before.private.get("updated_by") == token:
            return
        document = change(before.document) | {"LastModifiedBy": signed_by(call.principal)}
        private = {**before.private, "updated_by": token}
        after = replace(before, document=document, private=private, modified=call.now)
        records.update(conn, after)
        notes.write(conn, MODEL_PACKAGE.note, before, after)

    call.write(unit)
    return {"ModelPackageArn": package.arn}


@operation("DeleteModelPackage")
def delete_model_package(call: Call, request: Mapping[str, Any]) -> None:
    """Delete one; models that were made of it stay, and its number is not used again."""

    def also(conn: Connection, record: Record) -> None:
        if "token" in record.private:
            records.delete(conn, record.account, record.region, TOKEN, record.private["token"])

    remove(call, MODEL_PACKAGE, request["ModelPackageName"], _refuse_while_validated, also=also)


def _refuse_while_validated(_conn: Connection, record: Record) -> None:
    if record.status == "InProgress":
        raise ConflictException(
            f"ModelPackage {record.arn} cannot be deleted while {record.private['validation']} validates it."
        )
