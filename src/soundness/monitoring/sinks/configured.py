"""Sinks of a configuration."""

from pathlib import Path

from soundness.errors import SettingsError
from soundness.monitoring.live.configuration import MonitorSettings, WebhookSettings
from soundness.monitoring.sinks.protocol import Sink
from soundness.monitoring.sinks.webhook import WebhookSink

__all__ = ["configured_sinks"]


def configured_sinks(settings: MonitorSettings, *, folder: Path) -> list[Sink]:
    """Sinks of a configuration, with their secrets; nothing is opened yet.

    Parameters
    ----------
    settings
        The configuration.
    folder
        Folder of the configuration, that files of secrets are below.

    Raises
    ------
    SettingsError
        If a secret cannot be read, or an address cannot be used.
    """
    public_url = settings.service.public_url
    return [_webhook(one, folder, public_url=public_url) for one in settings.webhook]


def _webhook(settings: WebhookSettings, folder: Path, *, public_url: str) -> WebhookSink:
    name, key = f"webhook {settings.name}", settings.signing_key
    url = settings.url if settings.url_secret is None else settings.url_secret.read(folder, name=f"{name}: url_secret")
    secret = None if key is None else key.read(folder, name=f"{name}: signing_key")
    try:
        return WebhookSink(settings.name, url, signing_key=secret, public_url=public_url)
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from None
