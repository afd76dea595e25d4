"""What a stream allows, looked up before something is sent that older servers would misread."""

from __future__ import annotations

from collections.abc import Callable

from ..calls import Call, Handle
from ..errors import JetStreamError, StreamNotFoundError
from .api import Api, Reply, or_fail


class Feature:
    """A flag of a stream's configuration.

    Args:
        flag: its name.
        err_code: the server's number for the error that it is not set.
        text: the words of that error.
    """

    def __init__(self, flag: str, err_code: int, text: str) -> None:
        self._flag = flag
        self._err_code = err_code
        self._text = text

    def require(
        self, api: Api, call: Call, stream: str | None, subject: str, then: Callable[[], None]
    ) -> None:
        """Go on with ``then()`` if the stream has the flag; else *call* ends with the error.

        Args:
            api: the API.
            call: what it is for.
            stream: the stream; None: the one that takes *subject*.
            subject: see *stream*.
            then: what to do next.
        """
        if stream is not None:
            call.child = self._ask(api, call, stream, then)
            return

        def named(reply: Reply) -> None:
            streams = reply.get('streams') or []
            if not streams:
                call.fail(StreamNotFoundError(404, 10059, f'no stream takes {subject!r}'))
            else:
                call.child = self._ask(api, call, streams[0], then)

        call.child = api.ask('STREAM.NAMES', {'subject': subject}, or_fail(call, named))

    def _ask(self, api: Api, call: Call, stream: str, then: Callable[[], None]) -> Handle:
        def looked(info: Reply) -> None:
            if (info.get('config') or {}).get(self._flag):
                then()
            else:
                call.fail(JetStreamError(400, self._err_code, self._text))

        return api.ask(f'STREAM.INFO.{stream}', None, or_fail(call, looked))
