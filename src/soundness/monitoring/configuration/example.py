"""Commented configuration that ``soundness monitor --init`` prints; what is commented out is valid, too."""

__all__ = ["EXAMPLE"]

EXAMPLE = """\
# Configuration of soundness monitor. Paths are beside this file. All times are UTC.
# To begin, set name and source of [[sensor]] at the end; each machine has a part [[sensor]] of its own.
# soundness monitor THIS_FILE --check   tells what is wrong with it; without --check it begins.
# Lines such as "# key = value" are settings that can be used: remove the "# " before them.

[store]
folder = "monitor-data"       # database, kept audio and learned detectors
# url = "postgresql://soundness@db.example/soundness"   # a server in the place of a file in that folder
# password = { env = "STORE_PASSWORD" }                 # secrets stand in the environment, or in a file
keep_audio = "alarms"         # or "all", or "none"
before_alarm = "2min"         # audio kept from before an alarm
keep_clips = "90d"            # rows and audio of clips
keep_alarms = "5y"
max_gigabytes = 20.0          # of kept audio; the oldest goes first
min_free_gigabytes = 1.0      # of the disk; below it no audio is kept

[service]
host = "127.0.0.1"            # beyond this computer it needs a token or a password
port = 8734
# token = { env = "SOUNDNESS_TOKEN" }                   # for programs
# password = { file = "password.txt" }                  # for people; soundness monitor password makes it
# public_url = "https://sound.example"                  # for the links in notifications

# [mqtt]
# url = "mqtt://broker.example:1883"                    # mqtts:// for TLS
# user = "soundness"
# password = { env = "MQTT_PASSWORD" }
# prefix = "soundness"                                  # first part of the topics
# home_assistant = "homeassistant"                      # prefix of its discovery; "" for none
# client_id = "soundness"                               # other for each monitor at one broker

# [[webhook]]
# name = "maintenance"
# url = "https://hooks.example/alarms"
# signing_key = { file = "signing-key.txt" }            # for the header X-Soundness-Signature

# [[notify]]
# name = "mail to the shift"
# url = { env = "NOTIFY_URL" }                          # an address of apprise: mailto://, tgram://, slack:// ...

[[sensor]]
name = "pump 3"
source = "mic:0"                         # soundness devices lists them; or rtsp://camera/stream, folder:/data/pump ...
# source_secret = { env = "CAMERA" }     # stands for {secret}, as in rtsp://{secret}@camera/stream
# detector = "pump.soundness"            # without one the sensor learns for this long:
learn = "24h"                            # while the machine is well; "10min" for a first look
clip_seconds = 10.0
# hop_seconds = 5.0                      # from the start of a clip to that of the next
# channel = 0
# sample_rate = 16000                    # that streams are resampled to, in Hz
false_alarms = "1/week"
# quiet_clips = 3                        # clips without an alarm after which it has ended
# minimum_gap = "10min"                  # an alarm sooner after the end of another continues it
# maintenance = ["Mon-Fri 12:00-12:30"]  # time without alarms
fault_after = "1min"                     # of silence, constant or clipped signal, or none at all
"""
