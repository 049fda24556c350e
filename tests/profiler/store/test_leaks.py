from __future__ import annotations

import lzma
import re
import socket
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from aisp_prof.profiler.store.leak_forms import KEYS, RULES, TEXT_KEYS, TEXT_RULES, Form
from aisp_prof.profiler.store.leaks import leaks
from hypothesis import given
from hypothesis import strategies as st
from shared import leaks_of

TESTS = Path(__file__).parents[2]
COMMITTED = sorted(
    path for folder in (TESTS.parent / "captures", TESTS / "traces") for path in folder.rglob("*") if path.is_file()
)


@pytest.mark.parametrize("path", [p for p in COMMITTED if p.suffix != ".py"], ids=lambda path: path.name)
def test_no_committed_capture_leaks(path: Path) -> None:
    assert leaks_of(path) == []
    assert path.suffix != ".nsys-rep"


def test_a_table_on_page_61_is_no_environment_variable(tmp_path: Path) -> None:
    """SQLite stores a table's name and its root page side by side, and 61 is "="."""
    (tmp_path / "a").write_bytes(b"tableTARGET_INFO_GPUTARGET_INFO_GPU=CREATE TABLE TARGET_INFO_GPU (id)")
    (tmp_path / "b").write_bytes(b"SECRET_NAME=CREATED")
    assert leaks(tmp_path / "a") == []
    assert leaks(tmp_path / "b") != []


@pytest.mark.parametrize(
    "text",
    [
        b"in /home/ada/x",
        b"/root/.cache",
        b"CUDA_HOME=/usr/local/cuda",
        b"PATH=",
        b"LD_PRELOAD",
        b"one=1\0two=2",
        b"CREATE TABLE ProcessStreams (",
        b'CREATE TABLE "PROCESSES" (',
    ],
)
def test_found(tmp_path: Path, text: bytes) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed.xz"
    plain.write_bytes(b"\x00\xff" + text + b"\x00")
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    assert leaks(plain)
    assert leaks(packed)


@pytest.mark.parametrize(
    "text",
    [
        b"copy/home",
        b"train/data/load",
        b"fwd/users/x",
        b"std::a\\b",
        b"kind = 1\0next = 2",
        b"CREATE TABLE NVTX_EVENTS",
        b"T1=float",
    ],
)
def test_not_found(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "plain").write_bytes(text)
    assert leaks(tmp_path / "plain") == []


def test_this_process_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("xvar", "some value")
    monkeypatch.setenv("MY_API_KEY", "s3cr3t-s3cr3t")
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-host-7")
    path = tmp_path / "plain"
    for text in ("xvar=some value", "it is s3cr3t-s3cr3t", "on gpu-host-7.", "by ada.lovelace", str(Path.cwd())):
        path.write_text(text)
        found = leaks(path, ["ada.lovelace"])
        assert found, text
        assert "s3cr3t" not in str(found)  # a message ends in somebody's CI log
    path.write_text("vmId")
    assert leaks(path, ["vm", ""]) == []


def test_deleted_rows_are_found(tmp_path: Path) -> None:
    path = tmp_path / "trace.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("pragma secure_delete = off; create table t (x)")
        database.executemany("insert into t values (?)", [("API_TOKEN=hunter2",), ("kept",)])
        database.executescript("delete from t where rowid = 1")
        assert database.execute("select * from t").fetchall() == [("kept",)]
    assert leaks(path)


def test_utf_16_is_not_searched_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "trace.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("pragma encoding = 'UTF-16'; create table t (x)")
    assert "UTF-16" in leaks(path)[0]


def database(path: Path, text: str | bytes, statement: str = "CREATE TABLE t (i INTEGER, x TEXT)") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.execute(f"INSERT INTO {statement.split()[2]} VALUES (1, ?)", (text,))
        connection.commit()
    return path


@pytest.mark.parametrize("length", range(1, 60))
@pytest.mark.parametrize("template", ["/data/ada/{}", "c:\\users\\ada\\{}", "/opt/ada/{}", "D:/work/ada/{}"])
def test_a_path_of_any_length_is_found(tmp_path: Path, template: str, length: int) -> None:
    """Before a text SQLite writes its length and its kind in bytes that may be letters."""
    assert leaks(database(tmp_path / "t.sqlite", template.format("k" * length)))


PATHS = (
    "/opt/acme/x",
    "/efs/team/x",
    "/net/fs/x",
    "/run/user/1000/x",
    "/nas01/team/x",
    "/weka/team/x",
    "/shared/team/x",
    "~ada/models/x",
)
TOKENS = (
    "npm_" + "Ab12" * 9,
    "pypi-AgEIcHlwaS5vcmc" + "Ab12" * 10,
    "sk_live_" + "Ab12" * 6,
    "rk_test_" + "Ab12" * 6,
    "nvapi-" + "Ab12" * 12,
    "dckr_pat_" + "Ab12" * 7,
    "dop_v1_" + "ab12" * 16,
    "SG." + "Ab12" * 5 + "." + "Ab12" * 10,
    "Authorization: Bearer Ab12Cd34Ef56Gh",
    "bearer Ab12Cd34Ef56Gh",
    "https://x.example.com/?token=Ab12Cd34Ef",
    "db_pass=hunter2-Zq81",
    "password: hunter2hunter2",
    "train --api-key hunter2-x",
    "gldt-" + "x1Y2z3" * 4,
    "hvs." + "Ab12" * 8,
    "https://b.blob/x?sig=Ab12%2Fabc%3D&se=2027",
    "s3://corp-bucket/x",
    "10.20.30.40:8080",
    "ada@corp.example.COM",
    "a@corp.example.com",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
)


def spelled(text: str) -> dict[str, str]:
    raw = text.encode()
    return {
        "plain": text,
        "in a name": f"k_{text}",
        "hex": f"k{raw.hex()}",
        "upper hex": f"kernel_a{raw.hex().upper()}_",
        "base64": b64encode(raw).decode().rstrip("="),
        "base64 behind letters": f"abc{b64encode(raw).decode()}",
        "base64 of URLs": urlsafe_b64encode(raw).decode().rstrip("="),
        "percent": quote(text, safe=""),
        "percent twice": quote(quote(text, safe=""), safe=""),
        "escaped": text.replace("/", "\\/"),
        "escaped as code points": "".join(f"\\u{ord(letter):04x}" if letter in "/@:= " else letter for letter in text),
        "wide": "\0".join(text),
    }


@pytest.mark.parametrize("text", [*PATHS, *TOKENS])
def test_whatever_form_it_has(tmp_path: Path, text: str) -> None:
    missed = []
    for number, (form, said) in enumerate(spelled(text).items()):
        if form == "in a name" and text.startswith(("/", "~", "10", "a@", "bearer")):
            continue  # where a word stands before it, it is another
        if not leaks(database(tmp_path / f"{number}.sqlite", said)):
            missed.append(form)
    assert missed == []


@pytest.mark.parametrize(
    "text",
    [
        "train/opt/step",
        "token=128",
        "max_tokens=4096, batch=8",
        "tokens: 2048",
        "render_pass=shadow",
        "pass=forward",
        "std::~vector()",
        "cutlass::Kernel<float, 128>::operator()",
        "TensorRT 10.13.3.9",
        "_ZN7cutlass6KernelINS_4gemm6kernel4GemmINS1_11threadblock12MmaMultistageI" * 20,
        "0123456789abcdef" * 8,
        "ampere_sgemm_128x64_tn",
        "author=ada",
    ],
)
def test_names_that_tell_nothing(tmp_path: Path, text: str) -> None:
    assert leaks(database(tmp_path / "t.sqlite", text)) == []


@pytest.mark.parametrize(
    "said", ["k_GPU-HOST-77", "k_gpu-host-77_", "Gpu-Host-77.corp.example", b"gpu-host-77".hex().upper()]
)
def test_a_host_in_any_case_and_without_its_domain(tmp_path: Path, said: str) -> None:
    path = database(tmp_path / "t.sqlite", said)
    assert leaks(path, ["gpu-host-77.corp.example"])
    assert leaks(path, ["gpu-host-78.corp.example"]) == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (i INTEGER, -- made in /opt/acme/x\n x TEXT)",
        'CREATE TABLE t (i INTEGER, "/opt/acme/x" TEXT)',
        'CREATE TABLE "/opt/acme/x" (i INTEGER, x TEXT)',
    ],
)
def test_comments_columns_and_tables_are_searched(tmp_path: Path, statement: str) -> None:
    assert leaks(database(tmp_path / "t.sqlite", "x", statement))


def test_a_secret_in_other_spellings(tmp_path: Path) -> None:
    secret = 'ab"cd/ef~gh?12'
    for number, said in enumerate(spelled(secret).values()):
        path = database(tmp_path / f"{number}.sqlite", said)
        assert leaks(path, values={"API_TOKEN": secret}), said


def test_texts_that_cannot_be_read_are_not_called_clean(tmp_path: Path) -> None:
    path = database(tmp_path / "t.sqlite", "x")
    content = bytearray(path.read_bytes())
    content[4096] = 99
    path.write_bytes(content)
    assert "cannot be read" in str(leaks(path))


@pytest.mark.parametrize("form", [*RULES, *KEYS, *TEXT_RULES, *TEXT_KEYS], ids=lambda form: form.what)
@given(data=st.data())
def test_what_is_looked_for_first_is_there_wherever_the_whole_is(form: Form, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(form.pattern))
    assert not form.first or any(re.search(one, text) for one in form.first), text
    assert not form.words or any(one in text.lower() for one in form.words), text
    assert not form.near or any(re.search(one, text.lower()) for one in form.near), text
