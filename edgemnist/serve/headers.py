"""Headers that keep a browser from doing more with an answer than it should."""

from __future__ import annotations

from typing import Final

CONTENT_SECURITY_POLICY: Final = "; ".join([  # noqa: FLY002 - read line by line
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # What was drawn or photographed is shown from memory.
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
])  # fmt: skip

SECURITY: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer. A file input that opens the phone's camera needs no permission of the page."""

RAW_SECURITY: Final = [(name.encode(), value.encode()) for name, value in SECURITY.items()]
NO_STORE: Final = (b"cache-control", b"no-store")
"""For answers that are made for one request; the page's files say how long they keep themselves."""
