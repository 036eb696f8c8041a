"""What a failure of a hub's client is, by its class and its message."""

from __future__ import annotations

import re

BUSY = (429, 500, 502, 503, 504)  # HTTP codes that are worth another attempt
NOT_ALLOWED = (401, 403)
NOT_THERE = (404, 405)
HTTP_LIBRARIES = ("httpx", "httpx2", "requests")  # the client's own differs between its versions
XET_REQUEST = re.compile(r"(?:\((\d{3}) .*)?xet-(?:read|write)-token")  # the first of Xet's client, and the code


def is_worth_another_attempt(error: BaseException) -> bool:
    """Busy or out of reach; not a missing repository, a full disk, or HF_HUB_OFFLINE."""
    from huggingface_hub import errors

    if is_of_xet(error):  # its client has tried several times
        return False
    if (code := http_code(error)) is not None:
        return code in BUSY
    if isinstance(error, errors.OfflineModeIsEnabled):
        return False
    return is_of_http(error) or isinstance(error, ConnectionError | TimeoutError)


def http_code(error: BaseException) -> int | None:
    """Xet's client has it in its message only."""
    if (response := getattr(error, "response", None)) is not None:
        return response.status_code
    named = XET_REQUEST.search(str(error))
    return int(named[1]) if named and named[1] else None


def is_of_xet(error: BaseException) -> bool:
    return type(error).__module__.startswith("hf_xet") or bool(XET_REQUEST.search(str(error)))


def is_of_http(error: BaseException) -> bool:
    return any(each.__module__.partition(".")[0] in HTTP_LIBRARIES for each in type(error).__mro__)
