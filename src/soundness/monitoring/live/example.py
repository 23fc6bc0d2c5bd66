"""Commented configuration that ``soundness monitor --init`` prints."""

__all__ = ["EXAMPLE"]

EXAMPLE = """\
# Configuration of soundness monitor. Paths are beside this file. All times are UTC.
# soundness monitor THIS_FILE --check   tells what is wrong with it; without --check it begins.

[store]
folder = "monitor-data"       # database, kept audio and learned detectors
keep_audio = "alarms"         # or "all", or "none"
before_alarm = "2min"         # audio kept from before an alarm
max_gigabytes = 20.0          # of kept audio; the oldest goes first

[service]
host = "127.0.0.1"            # beyond this computer it needs a token or a password
port = 8734

# [mqtt]
# url = "mqtt://broker:1883"
# user = "soundness"
# password = { env = "MQTT_PASSWORD" }

# [[webhook]]
# name = "maintenance"
# url = "https://example.org/alarms"
# signing_key = { file = "signing-key.txt" }

# [[notify]]
# name = "mail to the shift"
# url = { env = "NOTIFY_URL" }   # an address of apprise: mailto://, tgram://, slack:// ...

[[sensor]]
name = "pump 3"
source = "replay:pump-3.flac?speed=60"   # mic:0, rtsp://camera/stream, folder:/data/pump, pcm:- ...
# detector = "pump.soundness"            # without one the sensor learns for this long:
learn = "24h"
clip_seconds = 10.0
false_alarms = "1/week"
"""
