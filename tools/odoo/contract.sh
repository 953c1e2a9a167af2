#!/bin/sh
# Runs in a Python image with the sources mounted read-only: installs what contract.py needs, runs it.
set -eu
export PYTHONDONTWRITEBYTECODE=1 PIP_CACHE_DIR=/packages PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
pip install --quiet -r requirements.txt -r requirements-dev.txt
exec python -m tools.odoo.contract "$@"
