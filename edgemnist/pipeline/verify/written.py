"""What `verify` writes beside its result: JUnit XML, which CI systems show."""

from typing import Final
from xml.etree import ElementTree as ET

from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN
from edgemnist.ground.results.verify import ArtifactParity, VerifyResult


def junit_xml(result: VerifyResult) -> bytes:
    """Return the contents of a JUnit file: one test case for each artifact, with every gate that it missed.

    That is a failure; what is unknown is an error.
    """
    found = [*map(_outcome, result.artifacts), *(one.outcome for one in result.unusable)]
    failures, errors = (str(found.count(outcome)) for outcome in _ELEMENTS)
    counts = {"tests": str(len(found)), "failures": failures, "errors": errors, "skipped": "0"}
    counts["time"] = f"{result.seconds:.3f}"
    suites = ET.Element("testsuites", {"name": "edgemnist verify", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "parity", **counts})
    properties = ET.SubElement(suite, "properties")
    facts = {
        "reference": result.reference,
        "reference_accuracy": "unknown" if result.reference_accuracy is None else f"{result.reference_accuracy:.4f}",
        "images": str(result.images),
        "model_sha256": result.model_sha256,
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=value)
    for parity in result.artifacts:
        _add_case(suite, parity)
    for one in result.unusable:
        case = ET.SubElement(suite, "testcase", name=one.name, classname="edgemnist.pipeline.verify")
        ET.SubElement(case, _ELEMENTS[one.outcome], type=one.status, message=one.reason)
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


_ELEMENTS: Final = {MISSED: "failure", UNKNOWN: "error"}
"""What JUnit calls an outcome."""


def _outcome(parity: ArtifactParity) -> str:
    # A board with an earlier edgemnist says whether it passed, and no verdict.
    return PASSED if parity.passed else parity.verdict.outcome


def _add_case(suite: ET.Element, parity: ArtifactParity) -> None:
    case = ET.SubElement(suite, "testcase", name=parity.name, classname=f"edgemnist.pipeline.verify.{parity.runtime}")
    if parity.gate:
        properties = ET.SubElement(case, "properties")
        for name, limit in parity.gate.items():
            ET.SubElement(properties, "property", name=name, value=f"{limit.limit:g}")
    if parity.reasons:
        failure = ET.SubElement(case, _ELEMENTS[_outcome(parity)], type="GateMissed", message=parity.reasons[0])
        failure.text = "\n".join(parity.reasons)
    if parity.values is not None:
        words = f"values off by {parity.values.largest:.3g} spreads at most, {parity.values.mean:.3g} on average"
    else:
        known = ""
        if parity.accuracy is not None and parity.accuracy_drop_points is not None:
            known = f"accuracy {parity.accuracy:.4f}, drop {parity.accuracy_drop_points:+.2f} points, "
        words = f"{known}{parity.flips} flips, max |dp| {parity.max_abs_diff:.3g}, mean |dp| {parity.mean_abs_diff:.3g}"
    ET.SubElement(case, "system-out").text = f"{words}, sha256 {parity.sha256}"
