"""Valid messages, and what differs between parsers: where the fuzzers start."""

_H = b"Host: h\r\n"
_UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"

REQUESTS = {
    "get": b"GET /a/b%2F?c=d HTTP/1.1\r\nHost: h:1\r\nX-Empty:\r\nX-A:  b c \r\n\r\n",
    "length": b"POST /a HTTP/1.1\r\n" + _H + b"Content-Length: 3\r\n\r\nabc",
    "chunked": b"PUT /a HTTP/1.1\r\n" + _H + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
    "empty": b"POST /a HTTP/1.1\r\n" + _H + b"Content-Length: 0\r\n\r\n",
    "pipelined": (b"GET /a HTTP/1.1\r\n" + _H + b"\r\n") * 3,
    "body-then-get": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n" + _H + b"\r\n",
    "upgrade": b"GET /a HTTP/1.1\r\n" + _H + _UPGRADE + b"\r\nGET /b HTTP/1.1\r\n" + _H + b"\r\n",
    "upgrade-length": b"POST /a HTTP/1.1\r\n" + _H + _UPGRADE + b"Content-Length: 4\r\n\r\nGET ",
    "upgrade-chunked": b"PUT / HTTP/1.1\r\n" + _H + _UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "old": b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "old-length": b"POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
    "absolute": b"GET http://other:9/x?q HTTP/1.1\r\n" + _H + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + _H + b"Max-Forwards: 1\r\n\r\n",
    "closing": b"HEAD /a HTTP/1.1\r\n" + _H + b"Connection: x-a, close\r\nX-A: 1\r\n\r\n",
    "expect": b"PUT /a HTTP/1.1\r\n" + _H + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    "forwarded": b"GET / HTTP/1.1\r\n" + _H + b"Via: 1.1 x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: a\r\n\r\n",
    "connect": b"CONNECT h:1 HTTP/1.1\r\n" + _H + b"\r\n",
    "length-and-coding": b"PUT / HTTP/1.1\r\n"
    + _H
    + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + _H + b"X-A: b\r\n c\r\n\r\n",
    "space-before-colon": b"PUT / HTTP/1.1\r\n" + _H + b"Content-Length : 1\r\n\r\nx",
    "bare-lf": b"GET / HTTP/1.1\n" + _H + b"\n",
    "high": b'GET /?q={"a":1} HTTP/1.1\r\n' + _H + b"X-A: \xc3\xa9\r\n\r\n",
}

RESPONSES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nok",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: u\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\n\r\nsome",
    "old": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
    "interim": b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxyz",
    "upgrade-offer": b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok",
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "nominating": b"HTTP/1.1 200 OK\r\nConnection: X-A, close\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
    "two": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    "no-reason": b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
    "length-and-coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

DICTIONARY = [
    *(
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"OPTIONS ",
        b"CONNECT ",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ),
    *(b"Host: h\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Connection: ", b"close", b"keep-alive"),
    *(
        b"Upgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"Trailer: ",
        b"\r\n\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b"\t",
    ),
    *(
        b"0\r\n\r\n",
        b"1\r\nx\r\n",
        b";x=",
        b"0x",
        b"+1",
        b"ffffffffffffffff",
        b"18446744073709551616",
        b"\x0b",
        b"\x85",
    ),
    *(b"HTTP/1.1 100 Go\r\n\r\n", b"HTTP/1.1 204 No\r\n", b"HTTP/1.1 304 No\r\n", b"HTTP/1.1 101 Up\r\n", b"http://h/"),
]
"""Tokens for the mutator."""
