"""A Eureka server as its REST interface shows it, embedded or Spring's."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from tests.e2e.processes import PRANA, Answer, Process, call, free_port


class Server(Protocol):
    """A server that starts empty, always on the same port."""

    @property
    def port(self) -> int: ...
    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class EmbeddedServer:
    """`prana registry`."""

    def __init__(self, output: Path) -> None:
        self.port = free_port()
        self._output = output
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._process = Process([str(PRANA), "registry", "--listen", f"127.0.0.1:{self.port}"], self._output)
        self._process.until_listening(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGTERM)
            self._process.exit_code()
            self._process = None


class Eureka:
    """What a person with curl sees of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.port
        self.url = f"http://127.0.0.1:{server.port}/eureka/"

    def instance(self, app: str, instance_id: str) -> dict[str, Any] | None:
        """None when it is not registered. Not cached by any server."""
        answer = self._call("GET", app, instance_id)
        assert answer.status in (200, 404), answer
        found: dict[str, Any] | None = answer.json["instance"] if answer.status == 200 else None
        return found

    def status(self, app: str, instance_id: str) -> str | None:
        found = self.instance(app, instance_id)
        return found["status"] if found else None

    def delete(self, app: str, instance_id: str) -> None:
        assert self._call("DELETE", app, instance_id).status == 200

    def register(self, app: str, port: int, lease_s: int = 300) -> None:
        """An instance on loopback that nobody keeps alive."""
        instance = {
            "instanceId": f"{app}:{port}",
            "hostName": "127.0.0.1",
            "ipAddr": "127.0.0.1",
            "app": app.upper(),
            "vipAddress": app,
            "status": "UP",
            "port": {"$": port, "@enabled": "true"},
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            "leaseInfo": {"renewalIntervalInSecs": lease_s // 3, "durationInSecs": lease_s},
        }
        assert self._call("POST", app, body={"instance": instance}).status == 204

    def signal(self, number: signal.Signals) -> None:
        assert self.server.pid is not None, "not started"
        os.kill(self.server.pid, number)

    def _call(self, method: str, app: str, instance_id: str = "", body: Mapping[str, Any] | None = None) -> Answer:
        path = f"/eureka/apps/{app.upper()}" + (f"/{quote(instance_id)}" if instance_id else "")
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return call(self.port, path, method, json.dumps(body).encode() if body else None, headers)
