"""A result as JUnit XML, which is what CI systems show."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from edgemnist.results.verify import ArtifactParity, VerifyResult


def junit_xml(result: VerifyResult) -> bytes:
    """Return the contents of a JUnit file: one test case for each artifact, failed with every gate that it missed."""
    failed = sum(not parity.passed for parity in result.artifacts)
    tests = len(result.artifacts) + len(result.unusable)
    errors = str(len(result.unusable))
    counts = {"tests": str(tests), "failures": str(failed), "errors": errors, "skipped": "0"}
    counts["time"] = f"{result.seconds:.3f}"
    suites = ET.Element("testsuites", {"name": "edgemnist verify", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "parity", **counts})
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(result).items():
        ET.SubElement(properties, "property", name=name, value=value)
    for parity in result.artifacts:
        _add_case(suite, parity)
    for one in result.unusable:
        case = ET.SubElement(suite, "testcase", name=one.name, classname="edgemnist.verify")
        ET.SubElement(case, "error", type=one.status, message=one.reason)
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _facts(result: VerifyResult) -> dict[str, str]:
    return {
        "reference": result.reference,
        "reference_accuracy": f"{result.reference_accuracy:.4f}",
        "images": str(result.images),
        "model_sha256": result.model_sha256,
    }


def _add_case(suite: ET.Element, parity: ArtifactParity) -> None:
    case = ET.SubElement(suite, "testcase", name=parity.name, classname=f"edgemnist.verify.{parity.runtime}")
    if parity.gate:
        properties = ET.SubElement(case, "properties")
        for name, limit in parity.gate.items():
            ET.SubElement(properties, "property", name=name, value=f"{limit.limit:g}")
    if parity.reasons:
        failure = ET.SubElement(case, "failure", type="GateMissed", message=parity.reasons[0])
        failure.text = "\n".join(parity.reasons)
    ET.SubElement(case, "system-out").text = (
        f"accuracy {parity.accuracy:.4f}, drop {parity.accuracy_drop_points:+.2f} points, {parity.flips} flips, "
        f"max |dp| {parity.max_abs_diff:.3g}, mean |dp| {parity.mean_abs_diff:.3g}, sha256 {parity.sha256}"
    )
