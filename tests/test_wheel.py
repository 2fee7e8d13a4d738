"""What a build ships: the sdist, the wheel made from it, and the installed command. Builds offline, from a copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import detector
from detector.store import DEFAULT_MODEL, MODEL_DIR_VARIABLE, write_manifest

ROOT = Path(__file__).parent.parent
REAL_MODEL = ROOT / "models" / DEFAULT_MODEL
needs_model = pytest.mark.skipif(
    not (REAL_MODEL / "manifest.json").is_file(), reason=f"{REAL_MODEL} is not trained yet"
)
SOURCES = ["detector", "models", "train", "eval", "tests", "examples", "docs"]
SDIST_TOP = {*SOURCES, "hatch_build.py", "pyproject.toml", ".gitignore", "Makefile", "PKG-INFO"} | {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
}


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    keep = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", MODEL_DIR_VARIABLE}}
    return subprocess.run(
        [str(c) for c in command], cwd=cwd, env={**keep, **env}, text=True, encoding="utf-8", capture_output=True
    )


def build(project: Path, out: Path, *kinds: str) -> subprocess.CompletedProcess[str]:
    """Without `kinds`: the sdist, and the wheel from the sdist."""
    return run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *kinds, project, cwd=project)


def copy_project(target: Path) -> Path:
    """Copy what git would track, without the models."""
    target.mkdir()
    for file in ["pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"]:
        shutil.copy(ROOT / file, target)
    shutil.copytree(ROOT / "detector", target / "detector", ignore=shutil.ignore_patterns("__pycache__", "_models"))
    return target


def add_tiny_model(project: Path) -> Path:
    folder = project / "models" / DEFAULT_MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "weights.npy").write_bytes(bytes(1000))
    write_manifest(folder, DEFAULT_MODEL, {})
    return folder


@pytest.fixture
def tiny_project(tmp_path: Path) -> Path:
    project = copy_project(tmp_path / "project")
    add_tiny_model(project)
    return project


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder with the real sdist and the real wheel."""
    out = tmp_path_factory.mktemp("dist")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """The folder of the commands of a fresh environment that holds the wheel.

    Its dependencies are those of the environment that runs the tests, appended to the path: nothing is downloaded.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    done = run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=home)
    assert done.returncode == 0, done.stderr
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).stdout.strip())
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "zz-dependencies.pth").write_text("\n".join(sorted(ours)) + "\n", encoding="utf-8")
    return scripts


# --- the real model ---


@needs_model
def test_wheel_holds_detector_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = f"detect_spin-{detector.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"detector", info}
    assert f"{info}/licenses/LICENSE" in names


@needs_model
def test_wheel_holds_every_module_and_only_shipped_models(wheel):
    names = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("detector/")}
    sources = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "detector").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    listed = json.loads((REAL_MODEL / "manifest.json").read_text(encoding="utf-8"))["files"]
    models = {f"detector/_models/{DEFAULT_MODEL}/{f}" for f in [*listed, "manifest.json"]}
    assert names == sources | models


@needs_model
def test_model_in_the_wheel_equals_the_committed_one(wheel):
    archive = zipfile.ZipFile(wheel)
    for file in json.loads((REAL_MODEL / "manifest.json").read_text(encoding="utf-8"))["files"]:
        assert archive.read(f"detector/_models/{DEFAULT_MODEL}/{file}") == (REAL_MODEL / file).read_bytes()


@needs_model
def test_sdist_holds_the_project_and_no_litter(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
    assert {name.split("/")[0] for name in names} <= SDIST_TOP
    assert {"train/__init__.py", "eval/__init__.py", "tests/test_wheel.py", "LICENSE", "README.md"} <= set(names)
    odd_endings = {".log", ".ckpt", ".pkl", ".pickle", ".pyc", ".parquet", ".env"}
    odd_folders = {"__pycache__", "_models", ".hypothesis", ".git", ".venv"}
    assert [n for n in names if Path(n).suffix in odd_endings or odd_folders & set(n.split("/"))] == []


@needs_model
def test_installed_command_answers_from_another_folder(installed, tmp_path):
    shown = run(installed / "detect-spin", "--version", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert detector.__version__ in shown.stdout
    assert f"{DEFAULT_MODEL}@" in shown.stdout
    shutil.copy(ROOT / "examples" / "spun.txt", tmp_path)
    done = run(installed / "detect-spin", "--format", "json", "spun.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["verdict"] == "spun"
    text = (tmp_path / "spun.txt").read_bytes().decode()
    assert result["spans"]
    assert all(text[s["start"] : s["end"]] == s["text"] for s in result["spans"])


@needs_model
def test_installed_package_is_the_wheels_and_brings_no_other_name(installed, tmp_path):
    code = (
        "import detector, importlib.util as u, pathlib; from detector.store import open_model; "
        "print(pathlib.Path(detector.__file__).parent); print(open_model().path); "
        "print([n for n in ('train', 'eval', 'tests', 'models', 'hatch_build') if u.find_spec(n)])"
    )
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    package, model, leaked = done.stdout.splitlines()
    assert Path(package).is_relative_to(installed.parent)
    assert Path(model) == Path(package) / "_models" / DEFAULT_MODEL
    assert leaked == "[]"


@needs_model
def test_installed_as_module(installed, tmp_path):
    done = run(installed / "python", "-m", "detector", "--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert detector.__version__ in done.stdout


# --- the build hook, with a tiny model ---


def test_wheel_through_the_sdist_equals_the_direct_one(tiny_project, tmp_path):
    through = build(tiny_project, tmp_path / "through")
    direct = build(tiny_project, tmp_path / "direct", "--wheel")
    assert through.returncode == direct.returncode == 0, through.stderr + direct.stderr
    (a,), (b,) = (tmp_path / "through").glob("*.whl"), (tmp_path / "direct").glob("*.whl")
    assert zipfile.ZipFile(a).namelist() == zipfile.ZipFile(b).namelist()
    assert f"detector/_models/{DEFAULT_MODEL}/weights.npy" in zipfile.ZipFile(a).namelist()


def test_unlisted_file_and_other_models_stay_out(tiny_project, tmp_path):
    folder = tiny_project / "models" / DEFAULT_MODEL
    (folder / "notes.txt").write_text("private", encoding="utf-8")
    shutil.copytree(folder, folder.parent / "spin-en-v0")
    assert build(tiny_project, tmp_path / "dist", "--wheel").returncode == 0
    (path,) = (tmp_path / "dist").glob("*.whl")
    shipped = {n for n in zipfile.ZipFile(path).namelist() if "_models" in n}
    assert shipped == {f"detector/_models/{DEFAULT_MODEL}/{f}" for f in ("config.json", "weights.npy", "manifest.json")}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "weights.npy").write_bytes(bytes(999) + b"\1"), "differs from its SHA-256"),
        (lambda folder: (folder / "weights.npy").write_bytes(b"version https://git-lfs.github.com"), "Git LFS pointer"),
        (lambda folder: (folder / "weights.npy").unlink(), "is missing, though manifest.json lists it"),
        (lambda folder: (folder / "manifest.json").unlink(), "a wheel without its model would be useless"),
        (shutil.rmtree, "a wheel without its model would be useless"),
    ],
    ids=["altered", "lfs-pointer", "file-missing", "no-manifest", "no-folder"],
)
def test_build_refuses_a_damaged_model(tiny_project, tmp_path, damage, message):
    damage(tiny_project / "models" / DEFAULT_MODEL)
    done = build(tiny_project, tmp_path / "dist", "--wheel")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not list((tmp_path / "dist").glob("*.whl"))


def test_editable_wheel_needs_no_model_and_copies_none(tmp_path):
    project = copy_project(tmp_path / "project")
    code = "import sys; from hatchling.build import build_editable; print(build_editable(sys.argv[1]))"
    done = run(sys.executable, "-c", code, tmp_path, cwd=project)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.whl")
    assert not [n for n in zipfile.ZipFile(path).namelist() if n.startswith("detector/")]
