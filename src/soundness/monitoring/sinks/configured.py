"""Sinks of a configuration."""

from pathlib import Path

from soundness.errors import SettingsError
from soundness.monitoring.configuration.monitor_settings import MonitorSettings
from soundness.monitoring.configuration.sink_settings import MqttSettings, NotifySettings, WebhookSettings
from soundness.monitoring.live.events import Events
from soundness.monitoring.sinks.broker import Broker
from soundness.monitoring.sinks.mqtt import MqttSink
from soundness.monitoring.sinks.protocol import DrawAlarm, Sink
from soundness.monitoring.sinks.topics import Topics, check_topics
from soundness.monitoring.sinks.webhook import WebhookSink
from soundness.monitoring.store.store import Store

__all__ = ["configured_broker", "configured_notification", "configured_sinks", "configured_webhook"]


def configured_sinks(
    settings: MonitorSettings, *, folder: Path, store: Store, events: Events, draw: DrawAlarm = lambda _: None
) -> list[Sink]:
    """Sinks of a configuration, with their secrets; nothing is opened yet.

    Parameters
    ----------
    settings
        The configuration.
    folder
        Folder of the configuration, that files of secrets are below.
    store, events
        Store and events of the monitor.
    draw
        Gives the pictures of notifications.

    Raises
    ------
    SettingsError
        If a secret cannot be read, or an address cannot be used.
    """
    public_url = settings.service.public_url
    sinks: list[Sink] = []
    if settings.mqtt is not None:
        names, own = [one.name for one in settings.sensor], settings.mqtt
        check_topics(names)
        sinks.append(
            MqttSink(
                configured_broker(own, folder),
                topics=Topics(prefix=own.prefix, home_assistant=own.home_assistant, client_id=own.client_id),
                sensors=names,
                store=store,
                events=events,
                public_url=public_url,
            )
        )
    sinks += [configured_webhook(one, folder, public_url=public_url) for one in settings.webhook]
    return sinks + [configured_notification(one, folder, public_url=public_url, draw=draw) for one in settings.notify]


def configured_broker(settings: MqttSettings, folder: Path) -> Broker:
    """Broker of a configuration.

    Raises
    ------
    SettingsError
        If its password or certificates cannot be read.
    """
    broker = Broker(
        url=settings.url,
        user=settings.user,
        password=None if settings.password is None else settings.password.read(folder, name="mqtt.password"),
        client_id=settings.client_id,
        ca_file=None if settings.ca_file is None else folder / settings.ca_file,
    )
    broker.context()
    return broker


def configured_webhook(settings: WebhookSettings, folder: Path, *, public_url: str) -> WebhookSink:
    """Webhook of a configuration.

    Raises
    ------
    SettingsError
        If a secret cannot be read, or the address is none.
    """
    name, key = f"webhook {settings.name}", settings.signing_key
    url = settings.url if settings.url_secret is None else settings.url_secret.read(folder, name=f"{name}: url_secret")
    secret = None if key is None else key.read(folder, name=f"{name}: signing_key")
    try:
        return WebhookSink(settings.name, url, signing_key=secret, public_url=public_url)
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from None


def configured_notification(
    settings: NotifySettings, folder: Path, *, public_url: str, draw: DrawAlarm = lambda _: None
) -> Sink:
    """Notification of a configuration.

    Raises
    ------
    SettingsError
        If the secret cannot be read, or is no address of apprise.
    """
    from soundness.monitoring.sinks.notifications import NotifySink  # it takes memory that few monitors need

    url = settings.url.read(folder, name=f"notify {settings.name}: url")
    return NotifySink(settings.name, url, public_url=public_url, draw=draw)
