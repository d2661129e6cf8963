#!/usr/bin/env bash
# Make a cluster of kind with a registry that its node takes for Docker Hub's, run the campaign on
# it, and remove both. Needs Docker on Linux, kind and kubectl; `make test-cluster-on-kind` calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=time-to-dispatch-campaign
image=timetodispatch/pipeline:campaign
folder=$(mktemp -d)
export KUBECONFIG=$folder/kubeconfig

remove() {
    kind delete cluster --name "$name"
    docker rm --force "$name-registry"
    rm -rf "$folder"
}
trap remove EXIT

kind create cluster --name "$name" --config deploy/campaign/kind.yaml --wait 180s
docker run --detach --name "$name-registry" --network kind --publish 127.0.0.1::5000 registry:2.8.3
registry=$(docker port "$name-registry" 5000/tcp)
docker exec --interactive "$name-control-plane" sh -c \
    'mkdir -p /etc/containerd/certs.d/docker.io && cat > /etc/containerd/certs.d/docker.io/hosts.toml' \
    <<< "[host.\"http://$name-registry:5000\"]"

# Pods reach this machine at the gateway of the network of the cluster's node.
gateways=$(docker network inspect kind --format '{{range .IPAM.Config}}{{println .Gateway}}{{end}}')
address=$(grep --max-count=1 --fixed-strings . <<< "$gateways")

if [ "${WAY:-bodywork}" = plain ]; then
    make image TARGET=plain IMAGE="$image-plain"
    make image TARGET=serve IMAGE="$image-serve"
else
    make image IMAGE="$image"
fi
.venv/bin/python -m deploy.campaign.stand_ins \
    --address "$address" --registry "http://$registry" --image "$image" \
    -- deploy/campaign/push_and_test.sh "$registry"
