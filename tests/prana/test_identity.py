"""What is registered when nothing but name and port are configured, and when several apps are."""

from prana.config.settings import App, Eureka, Settings
from prana.identity import registrations_of


def settings(*apps: App) -> Settings:
    return Settings(apps=apps, eureka=Eureka(urls=("http://127.0.0.1:8761/eureka/",)))


def test_without_apps_nothing_is_registered() -> None:
    assert registrations_of(settings(), 8077, "10.0.0.7") == []


def test_the_only_app_has_the_health_page_of_the_sidecar() -> None:
    (orders,) = registrations_of(
        settings(App(name="Orders", port=5000, hostname="h", ip="::1", prefer_ip=True)), 8077, "10.0.0.7"
    )
    assert (orders.app, orders.instance_id, orders.vip) == ("Orders", "h:Orders:5000", "orders")
    assert (orders.host, orders.ip, orders.port) == ("::1", "::1", 5000)
    assert orders.home_page_url == "http://[::1]:5000/", "an IPv6 address is in brackets"
    assert orders.status_page_url == "http://[::1]:8077/info"
    assert orders.health_check_url == "http://[::1]:8077/health"


def test_each_of_several_apps_has_an_identity_and_a_health_page_of_its_own() -> None:
    orders, billing = registrations_of(
        settings(
            App(name="orders", port=5000, hostname="h1", metadata={"zone": "a"}),
            App(name="billing", port=5001, hostname="h2", health_check_url="http://own/health"),
        ),
        8077,
        "10.0.0.7",
    )
    assert (orders.ip, billing.ip) == ("10.0.0.7", "10.0.0.7")
    assert (orders.instance_id, billing.instance_id) == ("h1:orders:5000", "h2:billing:5001")
    assert (orders.metadata, billing.metadata) == ({"zone": "a"}, {})
    assert orders.health_check_url == "http://h1:8077/health?app=orders:5000"
    assert billing.health_check_url == "http://own/health"
