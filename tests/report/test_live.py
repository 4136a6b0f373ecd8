"""The served page: current, for one study, on this machine, for one who has its token."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin

import pytest
from chromium import FOUND, WHY_NOT, Browser
from made_up import network, result

from hrnet_search.cli import main
from hrnet_search.records.trial import FAILED, PAUSED
from hrnet_search.report.live import LivePage, Server
from hrnet_search.report.report import write_report
from hrnet_search.store.ablation import AblationRecord
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import SHORT
from hrnet_search.store.writer import StudyStore

MakeStudy = Callable[..., Study]
RECORD = AblationRecord(
    name="made_up", design="one-factor", resolution=0, aliases=(), factors=("fuse",),
    reference=("SUM",), seeds=(0,), alpha=0.05, margin=0.005, trainings=1, ended=1, noise=None,
    least_p=1.0, detectable=None, class_names=(), arms=(), effects=(), notes=(),
)  # fmt: skip


@contextmanager
def serving(study: Study) -> Iterator[Server]:
    said: list[str] = []
    with Server(LivePage(study), 0, said.append) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(
    server: Server, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    there.putrequest(method, path, skip_host=True)
    there.putheader("Host", host or f"127.0.0.1:{server.port}")
    there.endheaders()
    answer = there.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_a_trial_that_ends_is_on_the_page(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(1)))
    with serving(study) as server:
        page, version = f"/{server.token}/", f"/{server.token}/version"
        before, html = asked(server, version)[1], asked(server, page)[1]
        assert b"1 trial: 1 completed" in html
        assert asked(server, page)[1] == html
        make_study((network(10), result(2)))
        assert asked(server, version)[1] != before
        assert b"2 trials: 2 completed" in asked(server, page)[1]


def test_the_page_may_ask_its_own_server_alone(make_study: MakeStudy) -> None:
    with serving(make_study((network(9), result(1)))) as server:
        _, html, headers = asked(server, f"/{server.token}/")
    assert b"default-src &#39;none&#39;" in html
    assert b"connect-src &#39;self&#39;" in html
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def links(html: bytes) -> list[str]:
    """Return what a page links to beside places in itself."""
    found = re.findall(r'href="([^"#][^"]*)"', html.decode())
    return [unescape(link) for link in found if link != "data:,"]


def test_every_link_of_the_page_leads_to_what_the_report_would_write(
    make_study: MakeStudy, blank_pictures: None
) -> None:
    study = make_study((network(9), result(1)), (network(10), result(2, miou=0.7)))
    assert not (study.folder / "report").exists()
    with serving(study) as server:
        page = f"/{server.token}/"
        linked = links(asked(server, page)[1])
        answers = {link: asked(server, urljoin(page, link)) for link in linked}
    assert not (study.folder / "report").exists()  # nothing was written
    assert {link.split("/")[0] for link in linked} == {"front.csv", "trials.csv", "configs"}
    write_report(study)
    for link, (status, body, headers) in answers.items():
        beside = study.folder if link.startswith("configs/") else study.folder / "report"
        assert (status, body) == (200, (beside / link).read_bytes()), link
        assert headers["Content-Type"].startswith("text/")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_links_of_an_ablation_lead_to_its_tables(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(1)), ablation=RECORD)
    with serving(study) as server:
        page = f"/{server.token}/"
        linked = set(links(asked(server, page)[1]))
        assert {"ablation.md", "ablation.csv", "ablation.tex"} < linked
        assert all(asked(server, urljoin(page, link))[0] == 200 for link in linked)
        assert asked(server, f"{page}ablation.json")[0] == 404  # to which it does not link


def test_files_are_as_the_study_is_now(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(1)))
    with serving(study) as server:
        path = f"/{server.token}/trials.csv"
        before = asked(server, path)[1].splitlines()
        make_study((network(10), result(2)))
        after = asked(server, path)[1].splitlines()
    assert (len(before), len(after)) == (2, 3)


def hostile(token: str) -> list[str]:
    """Return paths that ask for more than the page."""
    up = ("..", "%2e%2e", "..%2f..", "%252e%252e", "..\\..", "....//", ".%00", "%c0%ae%c0%ae")
    files = ("etc/passwd", "study.db", "space.yaml", "configs/", "trials/0/weights.pt")
    inside = [f"/{token}/{a}/{b}" for a in up for b in files]
    outside = [f"/{a}/{b}" for a in up for b in files]
    odd = ["/", "//", "*", "http://example.org/", f"/{token}", f"/{token}//"]
    odd += [f"/{token}/version/", f"/{token}/?a", f"/{token}x/", f"/{token[:-1]}/", "/x/"]
    odd += [f"/{token}/version%20", f"/{token};/"]
    odd += [f"/{token}/{a}" for a in ("configs", "configs/", "configs//", "report/front.csv")]
    odd += [f"/{token}/{a}" for a in ("front.csv/", "front.csv?", "front.csv%00", "./front.csv")]
    odd += [f"/{token}/{a}" for a in ("%66ront.csv", "FRONT.CSV", "front", "x/../front.csv")]
    odd += [f"/{token}/{a}" for a in ("trials.json", "ablation.csv", "duels.csv", "report.html")]
    odd += [f"/{token}//front.csv", "/front.csv", f"/{token[:-1]}/front.csv", f"/{token}/~"]
    odd += [f"/{token}/./", f"/x/../{token}/", f"/{token.swapcase()}/", "/favicon.ico"]
    return [
        *inside,
        *outside,
        *odd,
        "/" + "a" * 9000,
        f"/{token}/study.db",
        f"/{token}/%00",
        f"/{token}/version%20",
        f"/{token};/",
        "/é",
    ]


def test_hostile_paths_get_nothing(make_study: MakeStudy) -> None:
    with serving(make_study((network(9), result(1)))) as server:
        paths = hostile(server.token)
        assert len(paths) >= 100
        inside = links(server.page.html())
        paths += [f"/{server.token}/configs/{a}{b}" for a in ("../", "..%2f", "./") for b in inside]
        paths += [f"/{server.token[1:]}/{name}" for name in inside]
        for path in paths:
            with socket.create_connection(("127.0.0.1", server.port), 10) as wire:
                host = f"127.0.0.1:{server.port}"
                wire.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                answer = b"".join(iter(lambda: wire.recv(65536), b""))
            assert answer.split()[1] in (b"403", b"404"), path
            assert len(answer) < 1000, path


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_only_reading_is_allowed(make_study: MakeStudy, method: str) -> None:
    with serving(make_study((network(9), result(1)))) as server:
        assert asked(server, f"/{server.token}/", method)[0] == 405


def test_head_has_no_body_and_get_the_same_length(make_study: MakeStudy) -> None:
    with serving(make_study((network(9), result(1)))) as server:
        status, body, headers = asked(server, f"/{server.token}/", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) == len(asked(server, f"/{server.token}/")[1])


def test_another_name_of_this_machine_is_refused(make_study: MakeStudy) -> None:
    """A page of a stranger whose name was bound to 127.0.0.1 has its own name as the host."""
    with serving(make_study((network(9), result(1)))) as server:
        path = f"/{server.token}/"
        for host in ("example.org", f"example.org:{server.port}", "127.0.0.1", "127.0.0.1:1"):
            assert asked(server, path, host=host)[0] == 403
        assert asked(server, path, host=f"localhost:{server.port}")[0] == 200


def test_it_listens_on_this_machine_alone(make_study: MakeStudy) -> None:
    with serving(make_study()) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_a_study_that_is_gone_is_said(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(1)))
    with serving(study) as server:
        for file in study.folder.glob("study.db*"):
            file.unlink()
        assert asked(server, f"/{server.token}/version")[0] == 503


def test_a_port_in_use_is_a_fault_of_the_input(
    make_study: MakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["watch", str(study.folder), "--port", port]) == 2
    assert f"--port: port {port} cannot be had" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_ends_it_well(make_study: MakeStudy) -> None:
    study = make_study()
    command = [sys.executable, "-m", "hrnet_search", "watch", str(study.folder)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's `&`
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            assert process.stdout is not None
            assert "http://127.0.0.1:" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(FOUND is None, reason=WHY_NOT)
def test_a_browser_shows_a_trial_that_ends_by_itself(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study((network(9), result(1)))
    with serving(study) as server, Browser(tmp_path / "profile") as browser:
        browser.call("Page.navigate", url=server.address)
        browser.wait("document.body?.innerText.includes('1 trial: 1 completed')")
        browser.wait("document.readyState === 'complete'")
        make_study((network(10), result(2)))
        began = time.monotonic()
        browser.wait("document.body?.innerText.includes('2 trials: 2 completed')")
        assert time.monotonic() - began < 15  # it asks every 2 s; a busy machine loads it slowly
        assert all(url.startswith(f"http://127.0.0.1:{server.port}/") for url in browser.requests())


def test_a_failure_that_ran_again_is_on_the_page(make_study: MakeStudy) -> None:
    study = make_study((network(9), replace(result(0), status=FAILED, miou=None, rungs=())))
    page = LivePage(study)
    before, html = page.version(), page.html()
    with StudyStore(study.folder) as store:
        assert store.retry_failed() == 1
        again = page.version()
        store.finish(0, replace(result(0, miou=0.5), key=store.asks()[0].key))
    assert len({before, again, page.version()}) == 3
    assert page.html() != html


def test_what_pauses_is_on_the_page(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(0)))
    page = LivePage(study)
    before = page.version()
    with StudyStore(study.folder) as store:
        asked = store.asks()[0]
        store.ask(replace(asked, number=1, key=replace(asked.key, seed=1), purpose=SHORT))
        store.pause(1, replace(result(1), key=replace(asked.key, seed=1), status=PAUSED))
    assert page.version() != before
