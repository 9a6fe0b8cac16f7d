#!/usr/bin/env bash
# An MLflow server behind a user and a password:   bash deploy/mlflow_server.sh FOLDER HOST NAME...
#
#   FOLDER   its database, artifacts, users and password, which is made at the first start; must outlive the server
#   HOST     the address to listen on, port 5000
#   NAME     what browsers and searches may call it by, with its port; others are answered with 403
#
# Needs mlflow[auth]. The user is `search`; MLflow's clients of this user on this machine take the password from
# ~/.mlflow/credentials, which this writes; on others set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
set -euo pipefail
umask 077
folder=$(realpath -m "$1") host=$2
shift 2
names=$(IFS=,; echo "$*")
mkdir -p "$folder" ~/.mlflow

if [ ! -s "$folder/auth.ini" ]; then
  # Passwords stand in files of mode 600 alone: neither on a command line nor in the environment.
  {
    printf '[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///%s/users.db\n' "$folder"
    printf 'admin_username = search\nadmin_password = %s\n' "$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')"
    # A password is hashed for a tenth of a second, at each request where none is remembered.
    printf 'authorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 600\n'
  } > "$folder/auth.ini.new"
  head -c 32 /dev/urandom | base64 > "$folder/session.key"
  mv "$folder/auth.ini.new" "$folder/auth.ini"
fi
{
  printf '[mlflow]\nmlflow_tracking_username = search\n'
  sed -n 's/^admin_password/mlflow_tracking_password/p' "$folder/auth.ini"
} > ~/.mlflow/credentials

MLFLOW_AUTH_CONFIG_PATH=$folder/auth.ini
MLFLOW_FLASK_SERVER_SECRET_KEY=$(cat "$folder/session.key")
export MLFLOW_AUTH_CONFIG_PATH MLFLOW_FLASK_SERVER_SECRET_KEY
# By default MLflow starts sixteen processes of 130 MB each, and tells its makers how it is used.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true
# One process writes the database, so it may lie on a network file system.
exec mlflow server --workers 1 --app-name basic-auth --host "$host" --port "${MLFLOW_PORT:-5000}" --allowed-hosts "$names" \
  --backend-store-uri "sqlite:///$folder/mlflow.db" --artifacts-destination "$folder/artifacts"
