#!/usr/bin/env bash
# Push the image, with the certificate of the stand-ins added, to a registry, and run the campaign.
# The stand-ins say by environment variables what image that is, and where the certificate is.
set -euo pipefail
cd "$(dirname "$0")/../.."

registry=$1

docker build --quiet --build-arg IMAGE="$IMAGE" --tag "$registry/$IMAGE" \
    --file deploy/campaign/trusting.Dockerfile "$(dirname "$GIT_SSL_CAINFO")"
docker push --quiet "$registry/$IMAGE"
make test-cluster
