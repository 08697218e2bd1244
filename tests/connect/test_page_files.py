"""The files of the ticker page: all that are there and no others, with what a browser must know of them."""

from importlib.resources import files
from pathlib import Path

import pytest

from jackpotd.connect.page_files import UnusableFile, page_routes

from .connect_house import connect_house

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


async def test_every_file_of_the_page_is_served_under_its_name() -> None:
    page = files("jackpotd.connect").joinpath("page")
    names = [file.name for file in page.iterdir() if file.is_file()]
    assert "index.html" in names
    async with connect_house() as house:
        client = house.app.test_client()
        for name in ("", *names):
            file = name or "index.html"
            response = await client.get(f"/{name}")
            assert 200 == response.status_code
            assert page.joinpath(file).read_bytes() == await response.get_data(as_text=False)
            assert TYPES[file.rpartition(".")[2]] == response.headers["Content-Type"]
            assert "nosniff" == response.headers["X-Content-Type-Options"]
            assert "no-cache" == response.headers["Cache-Control"]
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            known = {"If-None-Match": response.headers["ETag"]}
            again = await client.get(f"/{name}", headers=known)
            assert (304, b"") == (again.status_code, await again.get_data(as_text=False))
            head = await client.head(f"/{name}")
            assert (200, known["If-None-Match"]) == (head.status_code, head.headers["ETag"])


@pytest.mark.parametrize(
    "path",
    [
        "/app.py",
        "/page/index.html",
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/app.py",
        "/index.html/",
        "/index.html%00",
        "/INDEX.HTML",
        "//etc/passwd",
        "/.hidden",
    ],
)
async def test_what_is_no_file_of_the_page_is_not_found(path: str) -> None:
    async with connect_house() as house:
        assert 404 == (await house.app.test_client().get(path)).status_code


def test_a_file_of_no_known_kind_keeps_the_server_from_starting(tmp_path: Path) -> None:
    tmp_path.joinpath("index.html").write_text("<!doctype html>")
    tmp_path.joinpath(".hidden").write_text("secret")
    assert {"/", "/index.html"} == {route.path for route in page_routes(tmp_path)}
    tmp_path.joinpath("notes.txt").write_text("?")
    with pytest.raises(UnusableFile):
        page_routes(tmp_path)
