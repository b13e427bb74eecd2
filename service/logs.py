"""Log lines, as text for a terminal or as JSON, each with the id of the request that it is about."""

import logging.config
from http import HTTPStatus
from typing import Literal

from service.tally import Tally, tally

log = logging.getLogger("seqcast.requests")
PROBES = ("/healthz", "/readyz", "/metrics")
PLAYGROUND_FILE = "/playground/{file}"


def configure_logs(form: Literal["text", "json"], level: str) -> None:
    """Of the whole process, to stderr."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request": {"()": _OfRequest}},
            "formatters": {
                "text": {"()": _Text, "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
                "json": {
                    "()": "pythonjsonlogger.orjson.OrjsonFormatter",
                    "fmt": ["levelname", "name", "message"],
                    "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
                    "timestamp": "time",
                },
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["request"]}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # uvicorn's own start-up lines say less than the welcome does
            "loggers": {"uvicorn.error": {"level": "WARNING"}},
        }
    )


def log_request(over: Tally) -> None:
    """One line, without a value that the client sent: not its path either, only its route's template."""
    level = logging.INFO
    if over.status >= 500:
        level = logging.WARNING
    elif over.status < 400 and over.route in (*PROBES, PLAYGROUND_FILE):
        level = logging.DEBUG  # who asks every few seconds, and the twenty files of one page
    elif over.status == HTTPStatus.TOO_MANY_REQUESTS:
        level = logging.DEBUG  # thousands a second, of which the queue tells once a second
    if not log.isEnabledFor(level):
        return
    seconds = over.ended - over.started
    log.log(
        level,
        "%s %s %d%s in %.1f ms, %d B to %d B",
        over.method,
        over.route,
        over.status,
        f" by {over.model}:{over.version}" if over.model else "",
        1000 * seconds,
        over.received,
        over.sent,
        extra={
            "method": over.method,
            "route": over.route,
            "status": over.status,
            "model": over.model or None,
            "version": over.version or None,
            "key": over.key or None,
            "duration_s": round(seconds, 6),
            "bytes_in": over.received,
            "bytes_out": over.sent,
        },
    )


class _OfRequest(logging.Filter):
    """Gives a line the id of the request in hand, if there is one."""

    def filter(self, record: logging.LogRecord) -> bool:
        if request_id := tally().id:
            record.request_id = request_id
        return True


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the library's name
        line = super().formatMessage(record)
        return f"{line} [{record.request_id}]" if hasattr(record, "request_id") else line
