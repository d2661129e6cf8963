#!/usr/bin/env bash
# Push the image, with the certificate of the stand-ins added, to a registry, and run the campaign;
# with WAY=plain push its two images as they are. The stand-ins say by environment variables what
# image that is, and where the certificate is.
set -euo pipefail
cd "$(dirname "$0")/../.."

registry=$1

if [ "${WAY:-bodywork}" = plain ]; then
    for target in plain serve; do
        docker tag "$IMAGE-$target" "$registry/$IMAGE-$target"
        docker push --quiet "$registry/$IMAGE-$target"
    done
    digest() { docker inspect --format '{{index .RepoDigests 0}}' "$registry/$IMAGE-$1"; }
    train=$(digest plain) serve=$(digest serve)
    # The node asks the registry by the names of Docker Hub.
    export TRAIN_IMAGE=${train#"$registry/"} SERVE_IMAGE=${serve#"$registry/"}
    exec make test-cluster WAY=plain
fi
docker build --quiet --build-arg IMAGE="$IMAGE" --tag "$registry/$IMAGE" \
    --file deploy/campaign/trusting.Dockerfile "$(dirname "$GIT_SSL_CAINFO")"
docker push --quiet "$registry/$IMAGE"
make test-cluster
