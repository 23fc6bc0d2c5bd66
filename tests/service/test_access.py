"""Nobody gets in who may not, and no page of another site makes a browser do anything."""

import asyncio
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from served import PASSWORD, TOKEN, served, two_sensors
from soundness.errors import SettingsError
from soundness.service.access.attempts import FailedLogins
from soundness.service.access.guard import LARGEST_BODY, LARGEST_UPLOAD, is_loopback
from soundness.service.access.passwords import Secrets, hash_password
from soundness.service.access.sessions import COOKIE, Session, SessionKey
from soundness.service.http import read_secrets

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATHS = ["/", "/sensors/1", "/alarms", "/docs", "/api/sensors", "/api/events", "/api/openapi.json", "/metrics"]


@pytest.fixture(scope="module")
def password_hash():
    return hash_password(PASSWORD)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, password_hash):
    folder = tmp_path_factory.mktemp("store")
    with served(folder, two_sensors, token=TOKEN, password_hash=password_hash, host="0.0.0.0") as found:
        yield found


@pytest.fixture(scope="module")
def open_one(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), two_sensors) as found:
        yield found


def form_token(page):
    return re.search(r'name="csrf" (?:content|value)="([0-9a-f]{64})"', page.text).group(1)


def log_in(client, password=PASSWORD, **fields):
    token = form_token(client.get("/login"))
    return client.post("/login", data={"csrf": token, "password": password, "person": "Kim", **fields})


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shown_without_a_login(guarded, path):
    with guarded.client() as client:
        assert client.get(path).status_code == 401
        for headers in ({"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}=e30=.{'0' * 64}"}):
            guarded.access.failures.succeeded("127.0.0.1")
            found = client.get(path, headers=headers)
            assert found.status_code == 401
            assert found.headers["content-type"] == "application/problem+json"
            assert "pump" not in found.text
        guarded.access.failures.succeeded("127.0.0.1")


def test_a_browser_is_sent_to_the_login_and_back(guarded):
    with guarded.client(follow_redirects=True) as client:
        page = client.get("/alarms", headers={"Accept": "text/html"})
        assert page.url.path == "/login"
        assert "pump" not in page.text
        assert 'value="/alarms"' in page.text
        found = log_in(client, following="/alarms")
        assert found.url.path == "/alarms"
        assert "Log out Kim" in found.text
        cookie = found.history[0].headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x"])
def test_a_login_leads_to_no_other_site(guarded, address):
    with guarded.client() as client:
        assert log_in(client, following=address).headers["location"] == "/"


def test_a_token_opens_the_interface_and_no_form_token_is_needed(guarded):
    with guarded.client(headers=BEARER) as client:
        assert client.get("/api/sensors").status_code == 200
        found = client.post(f"/api/alarms/{guarded.alarms[0].key}/acknowledge", json={"person": "robot"})
        assert found.json()["acknowledged_by"] == "robot"


def test_the_name_of_the_login_signs_an_answer(guarded):
    with guarded.client() as client:
        log_in(client)
        token = form_token(client.get("/"))
        address = f"/api/alarms/{guarded.alarms[0].key}/answer"
        assert client.post(address, json={"verdict": "fault"}).status_code == 403
        assert client.post(address, json={"verdict": "fault"}, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
        found = client.post(address, json={"verdict": "fault"}, headers={"X-CSRF-Token": token})
        assert found.json()["closed_by"] == "Kim"


def test_a_logout_needs_its_form_and_ends_the_session(guarded):
    with guarded.client() as client:
        log_in(client)
        assert client.post("/logout").status_code == 403
        token = form_token(client.get("/"))
        assert client.post("/logout", data={"csrf": token}).status_code == 303
        assert client.get("/api/sensors").status_code == 401


def test_wrong_tokens_have_to_wait_and_do_not_keep_the_right_one_out(tmp_path):
    with served(tmp_path, token=TOKEN, host="0.0.0.0") as running, running.client() as client:
        wrong = {"Authorization": f"Bearer {TOKEN[:-1]}x"}
        assert [client.get("/api/sensors", headers=wrong).status_code for _ in range(6)] == [401] * 5 + [429]
        assert client.get("/api/sensors", headers=BEARER).status_code == 200


def test_failed_logins_have_to_wait(tmp_path, password_hash):
    with served(tmp_path, password_hash=password_hash, host="0.0.0.0") as running, running.client() as client:
        statuses = [log_in(client, password=f"wrong password {n}").status_code for n in range(6)]
        assert statuses == [401] * 5 + [429]
        found = log_in(client)
        assert found.status_code == 429
        assert int(found.headers["retry-after"]) >= 1
        assert "try again in" in found.text


def test_addresses_of_one_household_wait_together():
    failures = FailedLogins(clock=lambda: 0.0)
    for number in range(5):
        failures.failed(f"2001:db8:1:2::{number:x}")
    assert failures.wait_seconds("2001:db8:1:2:ffff::9") == 1.0
    assert failures.wait_seconds("2001:db8:1:3::1") == 0.0
    for _ in range(5):
        failures.failed("::ffff:192.0.2.7")
    assert failures.wait_seconds("192.0.2.7") == 1.0
    assert failures.wait_seconds("192.0.2.8") == 0.0


def test_guesses_from_many_addresses_keep_nobody_from_the_pages(tmp_path, password_hash):
    def guess(number):
        local = httpx.HTTPTransport(local_address=f"127.0.{number}.7")
        with running.client(transport=local) as client:
            return log_in(client, password=f"wrong password {number}").status_code

    with (
        served(tmp_path, token=TOKEN, password_hash=password_hash, host="0.0.0.0") as running,
        ThreadPoolExecutor(24) as pool,
        running.client() as client,
    ):
        guesses = [pool.submit(guess, number) for number in range(1, 25)]
        while not all(one.done() for one in guesses):
            assert client.get("/api/sensors", headers=BEARER).status_code == 200
        statuses = Counter(one.result() for one in guesses)
    assert statuses.keys() <= {401, 503}
    assert statuses[401] >= 1
    assert statuses[503] >= 1


def test_waits_double_and_are_forgotten():
    now = [0.0]
    failures = FailedLogins(clock=lambda: now[0])
    for _ in range(5):
        assert failures.wait_seconds("a") == 0.0
        failures.failed("a")
    assert failures.wait_seconds("a") == 1.0
    failures.failed("a")
    assert failures.wait_seconds("a") == 2.0
    assert failures.wait_seconds("b") == 0.0
    for _ in range(30):
        failures.failed("a")
    assert failures.wait_seconds("a") == 300.0
    now[0] = 5_000.0
    failures.failed("a")
    assert failures.wait_seconds("a") == 0.0


def test_another_site_cannot_have_a_browser_answer(open_one):
    address = f"/api/alarms/{open_one.alarms[0].key}/acknowledge"
    with open_one.client() as client:
        token = form_token(client.get("/", headers={"Accept": "text/html"}))
        own = {"Origin": open_one.address.rstrip("/"), "X-CSRF-Token": token, "Sec-Fetch-Site": "same-origin"}
        for changed in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"X-CSRF-Token": ""},
            {"X-CSRF-Token": "0" * 64},
        ):
            assert client.post(address, json={}, headers={**own, **changed}).status_code == 403, changed
        assert client.post(address, json={}, headers=own).status_code == 200
    with open_one.client() as program:  # nothing of a browser
        assert program.post(address, json={}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil", ""])
def test_a_name_of_another_site_is_refused_on_loopback(open_one, host):
    with open_one.client() as client:
        assert client.get("/api/sensors", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_computer_are_taken(open_one, host):
    with open_one.client() as client:
        assert client.get("/api/sensors", headers={"Host": host}).status_code == 200


def test_the_public_address_is_taken_and_its_cookies_are_secure(tmp_path):
    with served(tmp_path, public_url="https://pumps.example/") as running, running.client() as client:
        page = client.get("/", headers={"Host": "pumps.example", "Accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["set-cookie"].endswith("; Secure")


def test_every_answer_has_the_headers_that_protect_it(open_one):
    with open_one.client() as client:
        for path in ("/", "/api/sensors", "/api/none", "/static/pages.css", "/static/none", "/health"):
            headers = client.get(path).headers
            assert "script-src 'self';" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../rendering.py",
        "/static/..%2frendering.py",
        "/static/%2e%2e/rendering.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/api/clips/..%2f..%2fsession-key/audio",
        "/alarms/..%2f..%2fsession-key",
        "/api/alarms/..%2f..%2f..%2f..%2fetc%2fpasswd..........",
        "/sensors/%00",
    ],
)
def test_no_path_leads_out_of_the_service(open_one, path):
    with open_one.client() as client:
        assert client.get(path).status_code in (404, 422)


def test_ten_megabytes_of_json_are_refused_everywhere(open_one):
    body = b'{"person": "' + b"a" * 10_000_000 + b'"}'
    key = open_one.alarms[0].key
    paths = [
        f"/api/alarms/{key}/acknowledge",
        f"/api/alarms/{key}/answer",
        "/api/sensors/1/ignore",
        "/login",
        "/logout",
    ]
    paths += ["/", "/api/sensors", "/docs", "/nothing"]
    with open_one.client(headers={"Content-Type": "application/json"}) as client:
        for path in paths:
            assert client.post(path, content=body).status_code == 413
            assert client.post(path, content=iter([body[:5_000_000], body[5_000_000:]])).status_code in (
                403,
                404,
                405,
                413,
            )
        deep = b"[" * (LARGEST_BODY - 1)
        assert client.post(paths[0], content=deep).status_code in (400, 422)
        assert client.get("/health").status_code == 200


def test_a_recording_that_is_stated_to_be_too_large_is_refused_before_it_is_sent(open_one):
    url = httpx.URL(open_one.address)
    with socket.create_connection((url.host, url.port), timeout=60) as connection:
        stated = f"Host: localhost\r\nContent-Length: {LARGEST_UPLOAD + 1}"
        connection.sendall(f"POST /api/score?sensor=1 HTTP/1.1\r\n{stated}\r\n\r\n".encode())
        assert connection.recv(1_000).split(b" ")[1] == b"413"


def test_a_thousand_requests_at_once_are_all_answered(open_one):
    url = httpx.URL(open_one.address)
    paths = ("/health", "/api/clips?limit=1", "/static/pages.css", "/api/sensors")

    async def fetch(path):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.split(b" ")[1]

    async def fetch_all():
        return await asyncio.gather(*(fetch(paths[number % 4]) for number in range(1_000)))

    assert set(asyncio.run(fetch_all())) == {b"200"}


def test_a_session_that_is_forged_changed_or_old_is_none():
    key = SessionKey(b"k" * 32, "hash")
    session = Session.new(is_known=True, person="Kim")
    cookie = key.cookie(session)
    assert key.session(cookie) == session
    assert SessionKey(b"x" * 32, "hash").session(cookie) is None
    assert SessionKey(b"k" * 32, "another password").session(cookie) is None
    for forged in (cookie[:-1], cookie[1:], f"x{cookie}", cookie.replace(".", ""), "", ".", "ä.ö"):
        assert key.session(forged) is None
    old = Session(identity="a", is_known=True, person="", expires=int(time.time()) - 1)
    assert key.session(key.cookie(old)) is None
    assert not key.is_form_token(Session.new(is_known=True), key.form_token(session))


def test_beyond_this_computer_a_secret_is_needed(tmp_path):
    from soundness.monitoring.configuration.monitor_settings import SecretText, ServiceSettings

    with pytest.raises(SettingsError, match=r"service\.host: 0\.0\.0\.0 can be reached from other computers"):
        read_secrets(ServiceSettings(host="0.0.0.0"), tmp_path)
    assert read_secrets(ServiceSettings(host="127.0.0.1"), tmp_path).is_open
    (tmp_path / "token").write_text(TOKEN)
    assert not read_secrets(ServiceSettings(host="::", token=SecretText(file="token")), tmp_path).is_open
    (tmp_path / "token").write_text("short")
    with pytest.raises(SettingsError, match=r"service\.token: 5 characters"):
        read_secrets(ServiceSettings(token=SecretText(file="token")), tmp_path)
    with pytest.raises(SettingsError, match="not a hash by argon2"):
        read_secrets(ServiceSettings(password=SecretText(file="token")), tmp_path)


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("127.evil.example", False), ("192.168.1.1", False), ("", False)],
)  # fmt: skip
def test_loopback_is_this_computer_alone(host, is_own):
    assert is_loopback(host) is is_own


def test_a_password_is_verified_by_its_hash_and_shows_nowhere(password_hash):
    secrets = Secrets(token=TOKEN, password_hash=password_hash)
    assert secrets.is_password(PASSWORD)
    assert not secrets.is_password(TOKEN)
    assert not secrets.is_password("x" * 2_000)
    assert TOKEN not in repr(secrets)
    assert password_hash not in repr(secrets)
    assert Secrets(token=TOKEN).is_password(TOKEN)  # no password: the token logs in
    with pytest.raises(SettingsError, match="a password of 5 characters; expected 10 to 1,024"):
        hash_password("short")


def test_a_name_with_script_is_shown_and_does_nothing(open_one):
    with open_one.client() as client:
        for path in ("/", "/sensors/2", "/alarms", f"/alarms/{open_one.alarms[0].key}"):
            page = client.get(path).text
            assert "<script>alert" not in page
            assert "&lt;script&gt;alert(1)" in page


def test_a_service_without_sensors_says_so(tmp_path):
    with served(tmp_path) as running, running.client() as client:
        assert "No sensors yet" in client.get("/").text
