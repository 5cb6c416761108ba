# SPDX-License-Identifier: MIT
"""An SBOM in CycloneDX's JSON, version 1.6: the same contents make the same bytes, wherever it is written."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from sbom.parts import DECLARED

if TYPE_CHECKING:
    from sbom.contents import Contents
    from sbom.parts import Part

OURS = uuid.uuid5(uuid.NAMESPACE_URL, "tag:spale,2026:sbom")
"""The space of names in which an artefact's sum makes the serial number of its SBOM."""

PREFIX = "spale:"
"""Of the properties that CycloneDX knows nothing of; docs/releasing.md says what they are."""


class InvalidError(Exception):
    """What was written is not what CycloneDX's schema wants."""


def document(contents: Contents, unix_s: int) -> str:
    """Return the SBOM of an artefact, made at `unix_s` (seconds since 1970); raise InvalidError."""
    subject = component(contents.subject, ComponentType.APPLICATION)
    parts = {part.purl: component(part, ComponentType.LIBRARY) for part in contents.parts}
    bom = Bom(serial_number=uuid.uuid5(OURS, contents.subject.sha256), version=1, components=parts.values())
    bom.metadata.component = subject
    bom.metadata.timestamp = datetime.fromtimestamp(unix_s, UTC)
    bom.register_dependency(subject, parts.values())
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise InvalidError(f"{contents.subject.name}: {wrong}")
    return in_order(json.loads(text))


def in_order(value: dict[str, Any]) -> str:
    """Return JSON whose keys are sorted, with a newline at its end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def component(part: Part, kind: ComponentType, within: str = "") -> Component:
    """Return `part` as a component; its reference is its package URL, behind that of what it is in."""
    reference = f"{within}{part.purl}"
    notes = (*part.notes, ("relation", part.relation)) if part.relation == DECLARED else part.notes
    return Component(
        name=part.name,
        version=part.version or None,
        type=kind,
        bom_ref=reference,
        purl=PackageURL.from_string(part.purl) if part.purl else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else [],
        licenses=[LicenseFactory().make_from_string(part.licence)] if part.licence else [],
        properties=[Property(name=f"{PREFIX}{name}", value=value) for name, value in notes],
        components=[component(each, ComponentType.LIBRARY, f"{reference}|") for each in part.parts],
    )
