"""py-eureka-client's EurekaClient in a process of its own, as its threads cannot be stopped.

Obeys the lines that java/lines describes, and like that leaves standard output to the answers.
"""

import asyncio
import os
import sys
import traceback
from typing import Any


class PyEurekaApp:
    def __init__(self, eureka_client: Any) -> None:
        self._type = eureka_client.EurekaClient
        self._client: Any = None

    async def obey(self, command: str, *words: str) -> str:
        match command, words:
            case "connect", (url, app, instance_id, port):
                self._client = self._type(
                    eureka_server=url,
                    app_name=app,
                    instance_id=instance_id,
                    instance_host="127.0.0.1",
                    instance_ip="127.0.0.1",
                    instance_port=int(port),
                    renewal_interval_in_secs=1,
                    duration_in_secs=3,
                    metadata={"zone": "a", "my_key": "<x>&$"},
                )
                await self._client.start()
                return "UP"
            case "status", (app, instance_id):
                found = self._application(app)
                instance = found and found.get_instance(instance_id)
                return str(instance.status) if instance else "none"
            case "resolve", (app,):
                found = self._application(app)
                return " ".join(f"{it.ipAddr}:{it.port.port}" for it in (found.up_instances if found else ()))
            case "call", (app, path):
                return str(await self._client.do_service(app, path))
            case "close", ():
                await self._client.stop()
                return "closed"
        raise ValueError(f"{command} {words}")

    def _application(self, app: str) -> Any:
        return self._client.applications.get_application(app.upper())


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    from py_eureka_client import eureka_client  # its loggers keep the sys.stdout that they find now

    app = PyEurekaApp(eureka_client)
    with asyncio.Runner() as runner:
        print("ok ready", file=answers, flush=True)
        for line in sys.stdin:
            try:
                answer = f"ok {runner.run(app.obey(*line.split()))}"
            except Exception as error:  # noqa: BLE001 - whoever asked decides what it means
                traceback.print_exc()
                answer = f"failed {error!r}"
            print(answer, file=answers, flush=True)
            if line.strip() == "close":
                os._exit(0)  # its heartbeat outlives stop() and would register again


main()
