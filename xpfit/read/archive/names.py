"""Names in requests for spectra, tried in order until the archive understands them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SUBJECTS = r"retrieval.?type|data.?structure|(data.?)?release|format|product.?type"

_REFUSED = re.compile(
    r"invalid|not\W+(an?\W+)?valid|unknown|unsupported|not\W+(supported|recogni[sz]ed|understood"
    r"|allowed|found|known)|unrecogni[sz]ed|does not exist|expected",
    re.IGNORECASE,
)

_CODE = re.compile(r"^\W*((http|error|status|code)\W*)*40[04]\b", re.IGNORECASE)

_REASON = re.compile(r"^\W*(bad request|not found)\W*$", re.IGNORECASE)


class NotUnderstoodError(Exception):
    """A name in a request is not one that the archive, or the installed astroquery, knows."""


def is_refusal(error: Exception, names: Iterable[str]) -> bool:
    """Whether an error says that a name in a request is unknown, and not that something failed.

    Parameters
    ----------
    error : Exception
        Of astroquery: a `ValueError` before the request, or what the archive answered.
    names : iterable of str
        Those in the request.

    Returns
    -------
    bool
        True for HTTP errors 400 and 404, and for messages that call one of the names, or what it
        is a name of, not valid.
    """
    if isinstance(error, NotUnderstoodError):
        return True
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) in (400, 404):
        return True
    text = str(error)
    if _CODE.search(text) or _REASON.search(text):
        return True
    subjects = "|".join([_SUBJECTS, *(re.escape(name) for name in names)])
    return bool(_REFUSED.search(text) and re.search(subjects, text, re.IGNORECASE))
