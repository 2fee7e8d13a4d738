"""Opening and checking model folders, on small folders that are built here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import store
from detector.errors import ModelError
from detector.store import MODEL_DIR_VARIABLE, open_model, write_manifest

CONFIG = {"schema": 1, "thresholds": {"balanced": 0.5}}


def build(folder: Path, name: str = "tiny") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "weights.npy").write_bytes(bytes(range(256)) * 5000)
    (folder / "MODEL_CARD.md").write_text("# Tiny\n", encoding="utf-8")
    write_manifest(folder, name, {"seed": 7})
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return build(tmp_path / "some folder")


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """A models root that holds `tiny`, in place of the package's own."""
    folder = tmp_path / "root"
    build(folder / "tiny")
    monkeypatch.setattr(store, "models_root", lambda: folder)
    return folder


def edit_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest.update(changes)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_open_gives_what_was_written(tiny):
    model = open_model(tiny)
    assert (model.name, model.path, model.config) == ("tiny", tiny, CONFIG)
    assert model.model_id == f"tiny@{model.digest}"
    assert len(model.digest) == 12
    assert int(model.digest, 16) >= 0
    assert model.manifest["seed"] == 7
    assert model.file("weights.npy").read_bytes()[:3] == b"\x00\x01\x02"


def test_manifest_digests_are_sha256_of_the_bytes(tiny):
    manifest = json.loads((tiny / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == {"config.json", "weights.npy", "MODEL_CARD.md"}
    for file, entry in manifest["files"].items():
        content = (tiny / file).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_writing_twice_gives_equal_bytes(tiny):
    first = (tiny / "manifest.json").read_bytes()
    assert write_manifest(tiny, "tiny", {"seed": 7}).read_bytes() == first


def test_digest_changes_with_weights_but_not_with_the_card(tiny):
    before = open_model(tiny).digest
    (tiny / "MODEL_CARD.md").write_text("# Tiny, explained better\n", encoding="utf-8")
    write_manifest(tiny, "tiny", {"seed": 8})
    assert open_model(tiny).digest == before
    (tiny / "weights.npy").write_bytes(b"other")
    write_manifest(tiny, "tiny", {"seed": 8})
    assert open_model(tiny).digest != before


def test_files_in_subfolders_and_hidden_files(tiny):
    (tiny / "parts").mkdir()
    (tiny / "parts" / "a.bin").write_bytes(b"a")
    (tiny / ".DS_Store").write_bytes(b"x")
    write_manifest(tiny, "tiny", {})
    model = open_model(tiny)
    assert model.file("parts/a.bin").read_bytes() == b"a"
    assert ".DS_Store" not in model.manifest["files"]


def test_file_not_in_the_manifest_is_not_handed_out(tiny):
    (tiny / "late.npy").write_bytes(b"unchecked")
    with pytest.raises(ModelError, match=r"lists no file 'late\.npy'"):
        open_model(tiny).file("late.npy")


# --- where the model is looked for ---


def test_by_name(root):
    assert open_model("tiny").path == root / "tiny"


def test_string_that_is_a_folder(tiny):
    assert open_model(str(tiny)).path == tiny


def test_name_is_preferred_to_a_folder_of_the_same_name(root, tmp_path, monkeypatch):
    build(tmp_path / "here" / "tiny", name="other")
    monkeypatch.chdir(tmp_path / "here")
    assert open_model("tiny").name == "tiny"
    assert open_model(Path("tiny")).name == "other"


def test_a_folder_is_referred_to_so_that_no_bundled_model_is_meant(root, tmp_path, monkeypatch):
    name = next(root.iterdir()).name
    shutil.copytree(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    there = open_model(Path(name))
    assert open_model(there.reference).path == tmp_path / name
    assert open_model(open_model(name).reference).path == root / name == open_model(name).path


def test_a_file_is_compared_again_when_it_is_read(tiny):
    (tiny / "parts").mkdir()
    (tiny / "parts" / "one.npy").write_bytes(b"123")
    write_manifest(tiny, "tiny", {})
    folder = open_model(tiny)
    assert folder.read("parts/one.npy") == b"123"
    content = folder.read("weights.npy")
    assert content == (tiny / "weights.npy").read_bytes()
    (tiny / "weights.npy").write_bytes(content[::-1] + b"x")
    with pytest.raises(ModelError, match="was altered"):
        folder.read("weights.npy")
    (tiny / "weights.npy").unlink()
    with pytest.raises(ModelError, match="is missing"):
        folder.read("weights.npy")


def test_default_model_is_used_without_a_name(root):
    build(root / store.DEFAULT_MODEL, name=store.DEFAULT_MODEL)
    assert open_model().name == store.DEFAULT_MODEL


def test_environment_names_the_folder(root, tiny, monkeypatch):
    monkeypatch.setenv(MODEL_DIR_VARIABLE, str(tiny))
    assert open_model().path == tiny
    assert open_model("tiny").path == root / "tiny", "a model given by the caller beats the environment"


def test_empty_environment_counts_as_unset(root, monkeypatch):
    build(root / store.DEFAULT_MODEL, name=store.DEFAULT_MODEL)
    monkeypatch.setenv(MODEL_DIR_VARIABLE, "")
    assert open_model().name == store.DEFAULT_MODEL


def test_wrong_environment_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(MODEL_DIR_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(ModelError, match=rf"gone does not exist \({MODEL_DIR_VARIABLE} points to it\)"):
        open_model()


def test_models_root_prefers_the_folder_inside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "detector"
    package.mkdir()
    monkeypatch.setattr(store, "__file__", str(package / "store.py"))
    assert store.models_root() == tmp_path / "models"
    (package / "_models").mkdir()
    assert store.models_root() == package / "_models"


def test_model_names(root):
    (root / "notes").mkdir()
    assert store.model_names() == ["tiny"]


# --- folders that must be refused ---


def test_unknown_name_lists_the_known_ones(root):
    with pytest.raises(ModelError, match=r"'tinny' not found.*there: tiny"):
        open_model("tinny")


def test_missing_folder(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        open_model(tmp_path / "gone")


def test_file_instead_of_folder(tiny):
    with pytest.raises(ModelError, match="is not a folder"):
        open_model(tiny / "config.json")


def test_no_manifest(tiny):
    (tiny / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"holds no manifest\.json"):
        open_model(tiny)


@pytest.mark.parametrize("file", ["weights.npy", "config.json", "MODEL_CARD.md"])
def test_missing_file(tiny, file):
    (tiny / file).unlink()
    with pytest.raises(ModelError, match=f"{file} is missing; install"):
        open_model(tiny)


@pytest.mark.parametrize("file", ["weights.npy", "config.json", "MODEL_CARD.md"])
def test_altered_file(tiny, file):
    content = bytearray((tiny / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tiny / file).write_bytes(content)
    with pytest.raises(ModelError, match=f"{file} was altered or is incomplete"):
        open_model(tiny)


def test_truncated_file(tiny):
    content = (tiny / "weights.npy").read_bytes()
    (tiny / "weights.npy").write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"weights\.npy was altered or is incomplete"):
        open_model(tiny)


def test_folder_where_a_file_should_be(tiny):
    (tiny / "weights.npy").unlink()
    (tiny / "weights.npy").mkdir()
    with pytest.raises(ModelError, match=r"weights\.npy cannot be read"):
        open_model(tiny)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tiny):
    (tiny / "weights.npy").chmod(0)
    with pytest.raises(ModelError, match="check its permissions"):
        open_model(tiny)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b"version https://git-lfs"])
def test_manifest_that_is_no_json(tiny, content):
    (tiny / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"manifest\.json is not valid JSON"):
        open_model(tiny)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"text"', b"1"])
def test_manifest_that_is_no_object(tiny, content):
    (tiny / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError, match="holds no JSON object"):
        open_model(tiny)


def test_config_that_is_no_json(tiny):
    (tiny / "config.json").write_text("thresholds: 1", encoding="utf-8")
    write_manifest(tiny, "tiny", {})
    with pytest.raises(ModelError, match=r"config\.json is not valid JSON"):
        open_model(tiny)


@pytest.mark.parametrize("schema", [0, 2, "1", None, True, [1]])
def test_other_schema_version(tiny, schema):
    edit_manifest(tiny, schema=schema)
    with pytest.raises(ModelError, match="this version reads 1"):
        open_model(tiny)


@pytest.mark.parametrize("name", [None, 3, "", "../x", "a/b", "a@b", " tiny"])
def test_manifest_without_a_valid_name(tiny, name):
    edit_manifest(tiny, name=name)
    with pytest.raises(ModelError, match="no valid name"):
        open_model(tiny)


@pytest.mark.parametrize("files", [None, [], "config.json"])
def test_manifest_without_a_list_of_files(tiny, files):
    edit_manifest(tiny, files=files)
    with pytest.raises(ModelError, match="lists no files"):
        open_model(tiny)


@pytest.mark.parametrize("entry", [None, "0" * 64, {}, {"sha256": "0" * 63}, {"sha256": 0}, {"sha256": "A" * 64}])
def test_manifest_without_a_digest(tiny, entry):
    files = open_model(tiny).manifest["files"]
    edit_manifest(tiny, files={**files, "weights.npy": entry})
    with pytest.raises(ModelError, match=r"no SHA-256 for weights\.npy"):
        open_model(tiny)


def test_manifest_without_a_config(tiny):
    files = open_model(tiny).manifest["files"]
    del files["config.json"]
    edit_manifest(tiny, files=files)
    with pytest.raises(ModelError, match=r"lists no config\.json"):
        open_model(tiny)


@pytest.mark.parametrize(
    "name",
    ["../x", "parts/../../x", "/etc/hostname", "C:x", "..\\x", "a\0b", "", ".", "./x", "a//b", "a/", "manifest.json"],
)
def test_paths_that_leave_the_folder(tiny, name):
    (tiny.parent / "x").write_bytes(b"outside")
    files = open_model(tiny).manifest["files"]
    edit_manifest(tiny, files={**files, name: {"sha256": hashlib.sha256(b"outside").hexdigest()}})
    with pytest.raises(ModelError, match="not a plain path inside the folder"):
        open_model(tiny)


@pytest.mark.parametrize("model", ["x" * 5000, "a\0b", Path("y" * 5000), Path("a\0b")])
def test_paths_that_the_system_cannot_hold(model):
    with pytest.raises(ModelError):
        open_model(model)


@given(st.binary(max_size=200))
def test_any_bytes_as_manifest_give_a_model_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("model")
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError):
        open_model(folder)
    shutil.rmtree(folder)


# --- write_manifest ---


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "ä"])
def test_write_refuses_bad_names(tiny, name):
    with pytest.raises(ValueError, match="model name"):
        write_manifest(tiny, name, {})


def test_write_refuses_to_lose_an_entry(tiny):
    with pytest.raises(ValueError, match="files"):
        write_manifest(tiny, "tiny", {"files": {}})


def test_write_refuses_a_folder_without_config(tmp_path):
    (tmp_path / "weights.npy").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"lists no config\.json"):
        write_manifest(tmp_path, "tiny", {})
    assert not (tmp_path / "manifest.json").exists()


# --- the model that ships ---


def test_shipped_models_are_intact():
    for name in store.model_names():
        assert open_model(name).name == name
