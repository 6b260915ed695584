# A login shell, in which KubeRay starts Ray, begins with Debian's own PATH.
PATH=/opt/venv/bin:$PATH
