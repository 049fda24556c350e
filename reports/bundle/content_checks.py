"""What is checked of what a bundle says: its captures, its environment, every number, the pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError

from ...profiler.store.manifest import encode_json
from ...version import __version__
from ..page.document import in_order, render_html
from .captures import DAMAGE, told
from .differences import Difference, json_differences, line_differences
from .drawing import check_drawing
from .environment import environment_data, read_me
from .header import Maker
from .layout import ENVIRONMENT, PROOF, READ_ME, SIGNATURE, SUMS
from .opened import Opened
from .paper.printed import check_pdf
from .proof import held, proof_data
from .verification import Check, Problem, Status, check


def check_captures(bundle: Opened) -> Check:
    """Whether each capture could be read and judged, and is what its manifest says."""
    about = f"{len(bundle.captures.proofs)} of {bundle.captures.folders} captures could be judged anew"
    if not bundle.captures.folders:
        return check("captures", about, [Problem(PROOF, "", "the bundle holds no capture")])
    problems, more = list(bundle.captures.problems), bundle.captures.leftovers
    if more and not problems and not bundle.same_code:
        return _of_other_code(bundle, "captures", f"{about}; {more[0].file}: {more[0].what}, as this program scrubs")
    bare = [one.capture.id for one in bundle.proofs if not one.capture.trace_paths]
    if bare and not problems and not more:
        what = f"{about}; {bare[0]} holds no trace: its times are what its manifest says"
        return Check("captures", Status.UNPROVEN, what, mend="ask for a capture with a trace: --profile minimal")
    return check("captures", about, [*problems, *more])


def check_environment(bundle: Opened) -> Check:
    """What made the captures is in their manifests; what made the bundle only it can say."""
    about = f"made by aisp-prof {_version(bundle) or '?'}" + ("" if bundle.same_code else ", by other code than this")
    problems = [fault for fault in bundle.faults if fault.file == ENVIRONMENT]
    if problems or bundle.maker is None or ENVIRONMENT not in bundle.found.sha256 or not bundle.whole:
        return check("environment", about, problems)
    expected = environment_data([one.capture.manifest for one in bundle.proofs], bundle.maker)
    problems += _compared(ENVIRONMENT, bundle.bytes_of(ENVIRONMENT), expected)
    problems += _maker_problems(bundle, bundle.maker)
    if READ_ME in bundle.found.sha256 and bundle.bytes_of(READ_ME) != read_me():
        if not bundle.same_code and not problems:
            return _of_other_code(bundle, "environment", f"{READ_ME} is not what this program writes")
        problems.append(Problem(READ_ME, "", "is not what aisp-prof writes"))
    return check("environment", about, problems)


def _version(bundle: Opened) -> str:
    """The version of aisp-prof that made the bundle; "" where it does not say."""
    return bundle.maker.made_by.aisp_prof if bundle.maker else ""


def _maker_problems(bundle: Opened, maker: Maker) -> list[Problem]:
    """What environment.json says of the program and the printer that cannot be: the code has its version, no PDF no printer."""
    found = []
    if bundle.same_code and maker.made_by.aisp_prof != __version__:
        what = f"says {maker.made_by.aisp_prof!r}; this code is of {__version__}"
        found.append(Problem(ENVIRONMENT, "made_by: aisp_prof", what))
    if bundle.header.known and (maker.printer is not None) != bundle.header.pdf:
        found.append(Problem(ENVIRONMENT, "printer", f"does not fit: {PROOF} says pdf {bundle.header.pdf}"))
    return found


def check_numbers(bundle: Opened) -> Check:
    problems = [fault for fault in bundle.faults if fault.file == PROOF]
    proofs = bundle.proofs
    if not bundle.whole or problems:
        return check("numbers", "could not be compared", problems or [Problem(PROOF, "", "no capture could be judged")])
    grounds = {SUMS, SIGNATURE, PROOF, *bundle.header.pages.names}
    inputs = {name: sha256 for name, sha256 in bundle.found.sha256.items() if name not in grounds}
    expected = proof_data(bundle.header.pages, proofs, bundle.header.missing, inputs, held(proofs, bundle.found.folder))
    count = sum(len(one["numbers"]) for one in expected["proofs"].values())
    about = f"{count} numbers recomputed from {len(proofs)} captures{_numpy(bundle)}"
    if bundle.same_code:
        return check("numbers", about, _compared(PROOF, bundle.bytes_of(PROOF), expected))
    differences = list(json_differences(bundle.proof, _plain(expected)))
    wrong = [_problem(PROOF, one) for one in differences if not one.only_one]
    if wrong or not differences:
        return check("numbers", about, wrong)
    return _of_other_code(bundle, "numbers", f"{about}; {len(differences)} are not known to both programs")


def _numpy(bundle: Opened) -> str:
    """Another numpy may draw other resamples: said, so that a difference in an interval is not blamed on the bundle alone."""
    import numpy

    made = bundle.maker.made_by.numpy if bundle.maker else numpy.__version__
    return f" (made with numpy {made}, recomputed with {numpy.__version__})" if made != numpy.__version__ else ""


def check_pages(bundle: Opened) -> list[Check]:
    """The HTML made again from the captures, and the PDF against that."""
    pages = bundle.header.pages
    if not bundle.whole:
        return [Check("html", Status.UNPROVEN, "cannot be made again: a capture, or proof.json, cannot be read")]
    try:
        evidences = [one.evidence for one in bundle.proofs]
        expected = held(bundle.proofs, bundle.found.folder)
        sha256, missing = bundle.found.sha256.get(PROOF, ""), bundle.header.missing
        html = render_html(pages.stage, evidences, pages.lang, sha256, expected, missing=missing)
    except (*DAMAGE, TemplateError) as error:
        return [check("html", "cannot be made", [Problem(pages.html_name, "", f"cannot be made: {told(error)}")])]
    made = [_check_html(bundle, html)]
    made.append(_check_drawing(bundle, made[0].status))
    if not pages.pdf:
        return [*made, Check("pdf", Status.ABSENT, "none")]
    if made[0].status is Status.UNPROVEN:
        return [*made, _of_other_code(bundle, "pdf", f"{pages.pdf_name}: not checked, as its page was not")]
    if pages.pdf_name not in bundle.found.sha256:
        return [*made, check("pdf", "missing", [Problem(pages.pdf_name, "", "is missing")])]
    printer = bundle.maker.printer if bundle.maker else None
    return [*made, check_pdf(pages.pdf_name, bundle.bytes_of(pages.pdf_name), html, printer)]


def _check_html(bundle: Opened, html: str) -> Check:
    name = bundle.header.pages.html_name
    about = f"{name}: made again from the captures, compared byte for byte"
    if name not in bundle.found.sha256:
        return check("html", about, [Problem(name, "", "is missing")])
    says = bundle.bytes_of(name)
    if says == html.encode():
        return check("html", about, [])
    differences = [_problem(name, one) for one in line_differences(says.decode("utf-8", "replace"), html)]
    bound = bundle.found.sha256.get(PROOF, "-").encode() in says
    if bundle.same_code or not bound:
        unbound = [] if bound else [Problem(name, "head", f"it is the page of another {PROOF}")]
        return check("html", about, unbound + (differences or [Problem(name, "", "holds bytes that are no text")]))
    first = f", first in {differences[0].where}: {differences[0].what}" if differences else ""
    return _of_other_code(bundle, "html", f"{name}: differs in {len(differences)} lines{first}")


def _check_drawing(bundle: Opened, html: Status) -> Check:
    """A page of other code may be built otherwise: then only that can be said."""
    name = bundle.header.pages.html_name
    if name not in bundle.found.sha256:
        return Check("drawing", Status.UNPROVEN, f"{name} is missing")
    evidences = in_order([one.evidence for one in bundle.proofs])
    found = check_drawing(name, bundle.bytes_of(name).decode("utf-8", "replace"), evidences)
    if isinstance(found, Check):
        return found
    if html is Status.UNPROVEN:
        return _of_other_code(bundle, "drawing", f"{name}: {found}")
    return check("drawing", f"{name}: its timelines could not be read", [Problem(name, "timeline", found)])


def _of_other_code(bundle: Opened, name: str, about: str) -> Check:
    return Check(
        name,
        Status.UNPROVEN,
        f"{about}: it was made by other code than this",
        mend=f"verify it with aisp-prof {_version(bundle)}",
    )


def _plain(value: Any) -> Any:
    """As it comes out of JSON: tuples are lists, names are texts."""
    return json.loads(encode_json(value))


def _compared(name: str, says: bytes, expected: Mapping[str, Any]) -> list[Problem]:
    """Where a JSON file is not what it should be."""
    text = encode_json(expected)
    if says == text.encode():
        return []
    found = [_problem(name, one) for one in json_differences(json.loads(says), json.loads(text))]
    return found or [Problem(name, "", "it says what it should, but not as aisp-prof writes it")]


def _problem(name: str, difference: Difference) -> Problem:
    return Problem(name, difference.where, difference.what)
