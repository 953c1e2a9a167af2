#!/usr/bin/env bash
# Runs in Odoo's image: creates a database with demo data, the apps that the contract suite needs, and
# an API key. Usage: prepare.sh VERSION DATABASE; HOST, USER and PASSWORD are those of PostgreSQL.
set -euo pipefail
version=$1
database=$2
server=(--db_host="$HOST" --db_user="$USER" --db_password="$PASSWORD" --database="$database")
demo=()
if [ "$version" -ge 19 ]; then
    demo=(--with-demo) # up to 18 it is the default, and the option unknown
fi
odoo "${server[@]}" --no-http --stop-after-init "${demo[@]}" \
    --init=purchase,purchase_stock,sale_management,sale_stock,base_automation
odoo shell "${server[@]}" --no-http < "$(dirname "$0")/api_key.py"
