"""The package as it is installed: public names, light import, wheel and source distribution."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import monoseme as ms

ROOT = Path(__file__).parents[1]


def test_public_names_exist_and_none_has_the_name_of_a_room():
    rooms = {path.name for path in (ROOT / "src" / "monoseme").iterdir() if path.is_dir()}
    for name in ms.__all__:
        assert getattr(ms, name).__doc__
        assert name not in rooms
    assert set(ms.__all__) <= set(dir(ms))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ms.nonsense  # noqa: B018


def test_importing_the_package_loads_neither_torch_nor_lance():
    code = "import sys, monoseme; print(sorted({'torch', 'lance', 'pyarrow', 'scipy', 'PIL', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Wheel and source distribution; the wheel is built from the source distribution, as an index would."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
        text=True,
    )
    return out


def test_wheel_holds_the_package_its_types_and_its_licence_and_nothing_else(built):
    [wheel] = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "monoseme/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(name.startswith(("monoseme/", "monoseme-")) for name in names)


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_distributions_install_into_a_clean_environment_and_run(built, tmp_path, kind):
    [distribution] = built.glob(kind)
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    # Dependencies (and the build backend) come from the environment of the tests; the package itself from the distribution.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [python, "-m", "pip", "install", *options, "--ignore-installed", distribution],
        check=True,
        capture_output=True,
        text=True,
    )
    where = subprocess.run(
        [python, "-c", "import monoseme; print(monoseme.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    done = subprocess.run(
        [tmp_path / "clean" / "bin" / "monoseme", "layers", "bundled:efficientnet-lite0", "--image-size", "64"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "head (default)" in done.stdout
