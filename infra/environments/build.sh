#!/usr/bin/env bash
# Builds one environment of production models from its list of packages: build.sh PYTHON DIRECTORY LIST
#
# The lists name every package, so nothing is resolved here, but for the one whose head says so. The project itself is
# installed in place: an actor or a server in the environment runs the same files as the run that uses it.
set -euo pipefail
python=$1 directory=$2 list=$3
here=$(dirname "$0")
began=$SECONDS

test -f "$list" || { echo "soul: there is no $list" >&2; exit 2; }
"$python" -c 'import sys; v = sys.version_info; v[:2] == (3, 11) or sys.exit(
    f"soul: the packages are listed for Python 3.11, which Ray and its actors must share; {sys.executable} is "
    f"{v.major}.{v.minor}: set PYTHON=")'
echo "Installing $list into $directory ..."
"$python" -m venv --clear "$directory"
pip="$directory/bin/python -m pip --quiet --disable-pip-version-check"
if [[ $list == *paddle-cuda.txt ]]; then
    $pip install -r "$list"
else
    $pip install --no-deps -r "$list"
fi
# Where two builds of OpenCV are listed, the one that needs no libGL must be written last: they have the same files.
headless=$(grep -E '^opencv-contrib-python-headless==' "$list" || true)
if [[ -n $headless ]]; then
    $pip install --no-deps --force-reinstall "$headless"
fi
$pip install --no-deps -e .

packages=$("$directory"/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
if [[ $list == *-cpu.txt && -d $packages/torchvision ]]; then
    cp "$here/torchvision_on_cpu.py" "$packages/"
    echo "import torchvision_on_cpu" >"$packages/torchvision_on_cpu.pth"
fi
# Last of all: without it the environment counts as not built.
cp "$list" "$directory/.installed"
echo "$directory: $((SECONDS - began)) s, $(du -sm "$directory" | awk '{printf "%.1f", $1 / 1000}') GB"
