"""Settings of sinks: the broker of MQTT, webhooks, and notifications to people."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from soundness.errors import SettingsError
from soundness.monitoring.configuration.checked_texts import BrokerText, ClientText, NameText, SecretText, TopicText
from soundness.monitoring.webhook import check_url
from soundness.settings.fields import StrictSettings

__all__ = ["MqttSettings", "NotifySettings", "WebhookSettings"]


class MqttSettings(StrictSettings):
    """Settings of the MQTT broker.

    Parameters
    ----------
    url
        ``mqtt://host:1883``, or ``mqtts://host:8883`` for TLS.
    user, password
        Name, and the secret that holds the password.
    prefix
        First part of all topics.
    home_assistant
        Prefix of Home Assistant's discovery; empty for none.
    client_id
        Identity of the client; other for each monitor at one broker, as is the prefix.
    ca_file
        File of certificates (PEM) that are trusted beside those of the computer, for a broker with its own.
    """

    url: BrokerText
    user: str = ""
    password: SecretText | None = None
    prefix: Annotated[TopicText, Field(min_length=1)] = "soundness"
    home_assistant: TopicText = "homeassistant"
    client_id: ClientText = "soundness"
    ca_file: str | None = None


class WebhookSettings(StrictSettings):
    """Settings of a webhook that alarms are posted to.

    Parameters
    ----------
    name
        Name, by which it is shown and its deliveries are kept.
    url
        Address without anything secret in it; or `url_secret`.
    url_secret
        Secret that holds the address.
    signing_key
        Secret that holds the key of the HMAC-SHA256 signature; ``None`` for no signature.
    """

    name: NameText = "webhook"
    url: str = ""
    url_secret: SecretText | None = None
    signing_key: SecretText | None = None

    @model_validator(mode="after")
    def _has_address(self) -> Self:
        if (self.url == "") == (self.url_secret is None):
            raise ValueError("expected url or url_secret, and not both")
        if self.url:  # it is checked here, where messages do not show it
            try:
                check_url(self.url)
            except SettingsError as error:
                raise ValueError(f"url: {str(error).removeprefix('webhook: ')}") from None
        return self


class NotifySettings(StrictSettings):
    """Settings of notifications to people.

    Parameters
    ----------
    name
        Name, by which it is shown and its deliveries are kept.
    url
        Secret that holds an address of apprise, such as ``mailto://...`` or ``tgram://...``.
    """

    name: NameText
    url: SecretText
