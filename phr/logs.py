"""What the log may say of a request: never its path, since whatever somebody typed stands in it."""

from __future__ import annotations

import logging


class Nameless(logging.Filter):
    """Django logs each 4xx and 5xx with its path: the route's name and the request's id take its place."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if request is not None and hasattr(request, "META"):
            from phr.caller import request_id  # logging is set up before there are models

            match = getattr(request, "resolver_match", None)
            route = (match.url_name if match else None) or "no route"
            status = getattr(record, "status_code", "-")
            record.msg, record.args = "%s %s: %s, request %s", (request.method, route, status, request_id(request))
        return True
