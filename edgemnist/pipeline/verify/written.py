"""What `verify` writes beside its result: a picture of each changed label, and JUnit XML, which CI systems show."""

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from edgemnist.ground.arrays import Images
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN
from edgemnist.ground.results.verify import ArtifactParity, Flip, VerifyResult
from edgemnist.ground.sheet import DETAIL, MOST, TEXT, Color, Section, Tile, as_pictures, sheet_png, short
from edgemnist.pipeline.verify.parity import BROKEN, CHANGED, FIXED, KINDS, count_kind

_LEGEND: Final = (
    "reference » artifact,  is: the true label,  margin of the first choice over the second » the artifact's"
)
_COLORS: Final[dict[str, Color]] = {BROKEN: (240, 98, 88), FIXED: (92, 200, 132), CHANGED: (236, 184, 76)}


def flips_png(result: VerifyResult, images: Images) -> bytes:
    """Return a PNG of every flip in a result; `images` are its evaluation images, [N, ...].

    Of each artifact at most `MOST` are drawn, and its heading says how many there are. The same result gives the same
    bytes.
    """
    return sheet_png([_section(parity, images) for parity in result.artifacts], _LEGEND)


def _section(parity: ArtifactParity, images: Images) -> Section:
    # Pillow's own font has no arrow, and > would compare the margins.
    shown = parity.flipped[:MOST]
    drawn = as_pictures(images[[flip.index for flip in shown]], images) if shown else ()
    tiles = [
        Tile(
            image=image,
            answer=f"{short(flip.reference)} » {short(flip.artifact)}",
            details=(
                f"#{flip.index}" if flip.label is None else f"is {short(flip.label)}   #{flip.index}",
                f"{flip.reference_margin:.2f} » {flip.artifact_margin:.2f}",
            ),
            color=_COLORS[flip.kind],
        )
        for flip, image in zip(shown, drawn, strict=True)
    ]
    return Section(((parity.name, TEXT), *_summary(parity.flipped)), tiles)


def _summary(flips: Sequence[Flip]) -> list[tuple[str, Color]]:
    if not flips:
        return [("no label changed", DETAIL)]
    parts = [(f"{count} {kind}", _COLORS[kind]) for kind in KINDS if (count := count_kind(flips, kind))]
    if len(flips) > MOST:
        parts.append((f"the first {MOST} of {len(flips):,} are shown", DETAIL))
    return parts


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
