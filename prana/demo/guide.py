"""What the demo prints: where everything is, and what to try."""

from prana.config.settings import Eject, ServicePolicy
from prana.config.units import format_duration
from prana.demo.sample import HOST
from prana.demo.scene import APP, LEASE_DURATION_S, RECOMMENDATIONS, USERS, Ports, settings
from prana.demo.traffic import CALLS_PER_S


def guide(ports: Ports) -> str:
    """The whole text. Lines with four spaces in front are commands, complete as they stand, for sh, bash and zsh."""
    registry, proxy, admin = (f"http://{HOST}:{port}" for port in (ports.registry, ports.proxy, ports.admin))
    recommendations, users = f"{proxy}/{RECOMMENDATIONS}", f"{proxy}/{USERS}"
    return f"""
Prana demo: all of this runs on this machine, in this one process. Ctrl-C ends it.

  registry   {registry:<24} an embedded Eureka server; its page is for a browser
  sidecar    {proxy:<24} calls /<service>/<path> for the app beside it
  admin      {admin:<24} health, metrics and services of the sidecar
  {APP}   {_at(ports, APP):<24} the app beside the sidecar, which registers it
  {RECOMMENDATIONS}: rec-healthy on {ports.of("rec-healthy")}, rec-slow on {ports.of("rec-slow")} (300 to 500 ms),
    rec-flaky on {ports.of("rec-flaky")} (answers for 20 s, then fails with 503 for 20 s, and so on)
  {USERS}: user-1 on {ports.of("user-1")}, user-2 on {ports.of("user-2")}

{_configured(settings(ports).policy_for(RECOMMENDATIONS))}

Light traffic runs all the time: about {CALLS_PER_S[RECOMMENDATIONS]:g} calls a second to {RECOMMENDATIONS}
and {CALLS_PER_S[USERS]:g} to {USERS}.

Things to try in a second terminal
----------------------------------
Call a service through the sidecar. Any method and path will do; the instance says who it is:
    curl -s {recommendations}/books
    curl -s -d 'hello' {users}/greetings

See in the headers which instance answered, after how many attempts and how long each took:
    curl -s -i -H 'X-Prana-Explain: 1' {recommendations}/books

Watch the nodes. load_ms keeps most calls away from rec-slow; rec-flaky is ejected while it fails,
each time for longer, and then one call probes whether it works again:
    curl -s {admin}/services/{RECOMMENDATIONS} | python3 -m json.tool
    curl -s {admin}/services/{RECOMMENDATIONS} | python3 -m json.tool | grep -E '"(id|load_ms|ejected.*)"'

Callers notice nothing of it, because what failed there is tried again elsewhere. The counters tell:
    curl -s {admin}/prometheus | grep -E '^prana_(retries|ejections|fallbacks)_.*{RECOMMENDATIONS}'

Break the whole service for 15 s, then watch one call a second. It gets the fallback, at first because of
http_503; once half of the calls in the last 10 s have failed, because of circuit_open. After the outage
one trial call closes the circuit again:
    curl -s -X POST '{_at(ports, "rec-healthy")}/outage?for=15s'
    for n in $(seq 25); do curl -s -i {recommendations}/books | grep -E '^(X-Prana-Fallback|[{{])'; sleep 1; done

The breakers meanwhile, in a third terminal:
    curl -s {admin}/services | python3 -m json.tool | grep -E '"(name|breaker)"'

Force the circuit of a service open, and leave it to itself again:
    curl -s -X POST {admin}/services/{USERS}/breaker/force-open
    curl -s -X POST {admin}/services/{USERS}/breaker/auto

What Hystrix Dashboard and Turbine read:
    curl -s -N {admin}/hystrix.stream | head -n 3

Kill an instance without a word to the registry, as kill -9 would. Calls keep working at once; the
registry drops the instance when its lease of {LEASE_DURATION_S} s has run out:
    curl -s -X POST {_at(ports, "user-1")}/die
    curl -s -i -H 'X-Prana-Explain: 1' {users}/ada
    curl -s {admin}/services/{USERS} | python3 -m json.tool

Make the app beside the sidecar unhealthy for 10 s. After two failed probes, 1 s apart, /health and
the registry say DOWN, and later UP again:
    curl -s -X POST '{_at(ports, APP)}/outage?for=10s'
    sleep 3; curl -s -i {admin}/health
    curl -s -H 'Accept: application/json' {ports.eureka_url}apps/{APP.upper()} | python3 -m json.tool

Everything that is registered, as every Eureka client reads it:
    curl -s -H 'Accept: application/json' {ports.eureka_url}apps | python3 -m json.tool

The metrics, in three forms:
    curl -s -H 'Accept: application/json' {admin}/metrics | python3 -m json.tool
    curl -s -H 'Accept: text/plain' {admin}/metrics
    curl -s -H 'Accept: application/openmetrics-text' {admin}/metrics
"""


def _at(ports: Ports, id: str) -> str:
    return f"http://{HOST}:{ports.of(id)}"


def _configured(policy: ServicePolicy) -> str:
    breaker, retries = policy.breaker, policy.retry.max_retries
    timeout, window, pause = map(format_duration, (policy.timeout, breaker.window, breaker.sleep_window))
    return (
        f"Configured for {RECOMMENDATIONS}: a timeout of {timeout}, a fallback without recommendations,\n"
        f"and {policy.eject.consecutive_failures} failure ejects a node, not {Eject().consecutive_failures} in a row. "
        f"The rest are defaults: a GET is tried again up to {retries} times, and\n"
        f"the breaker opens for {pause} when {breaker.error_percentage} % of at least "
        f"{breaker.request_volume} calls in {window} have failed."
    )
