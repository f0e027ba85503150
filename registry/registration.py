"""What we tell Eureka about the app beside us."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Everything registered except the status, which changes while we run."""

    app: str  # Eureka stores it in upper case
    instance_id: str  # unique within the app; case-sensitive
    host: str
    ip: str
    port: int
    secure_port: int = 0  # 0: none
    vip: str
    secure_vip: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    renewal_interval_s: float = 30.0
    lease_duration_s: float = 90.0  # the server drops the instance after twice this long without a heartbeat
    home_page_url: str = ""
    status_page_url: str = ""
    health_check_url: str = ""
