# Set-up and tasks. Needs Python 3.11 (`make demo`: or 3.12, or 3.13), pip, make and git.
# The tasks themselves are defined in tox.ini; the targets here are names for them.

PYENV_ROOT ?= $(HOME)/.pyenv
PYENV_BINS := $(foreach minor,11 12 13,$(lastword $(sort $(wildcard $(PYENV_ROOT)/versions/3.$(minor).*/bin))))
# Interpreters under pyenv are found too, whichever of them pyenv has made the default.
export PATH := $(if $(strip $(PYENV_BINS)),$(shell printf '%s:' $(PYENV_BINS)))$(PATH)

# Imports would take four seconds each time; the first one compiles what it needs, and keeps it.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(firstword $(foreach minor,11 12 13,$(shell PATH='$(PATH)' command -v python3.$(minor))))
TOX := .venv/bin/tox run
# For what needs none of the pipeline's requirements, or few: tox alone.
LIGHT_TOX := .tox/runner/bin/tox run
STORE = data
BRANCH = master
WAY = bodywork
SUMMARY = results/changes.md
PORT = 8000

CONTAINER_ENGINE ?= docker
TARGET = bodywork

# Titles of groups, and below them each target with what follows its ##, in 100 columns; an
# example of how to call it begins a line.
define HELP
/^##@ ./ {printf "\n%s\n", substr($$0, 5)}
/^[a-z0-9. -]+:.*## / {
    names = $$0; sub(/:.*/, "", names)
    count = split(substr($$0, index($$0, "## ") + 3), words, " ")
    line = sprintf("  %-20s", names)
    if (length(line) > 22) {print line; line = sprintf("%22s", "")}
    for (i = 1; i <= count; i++) {
        if (words[i] == "make" || length(line " " words[i]) > 100) {print line; line = sprintf("%22s", "")}
        line = line " " words[i]
    }
    print line
}
endef
export HELP

# What the tests need beside Python. They install it in continuous integration, or if asked to.
TOOLS_OF_TESTS := bwrap chromium curl faketime kubectl promtool typescript
TOOLS ?= $(if $(filter true,$(CI)),install,check)

.PHONY: help demo serve check test tools week lock static notebook fuzz-api fuzz-csv soak reproduce kubeconfig bodywork-cli deploy deploy-plain smoke test-cluster test-cluster-on-kind bodywork bench-quality bench-gate bench-training bench-serving bench-peers package publish publish-model deploy-app rebuild-app roll-back-app image push-image image-digest sbom audit docs screenshots test-docs actionlint change-summary diff apply version version-tag clean python3.11 tools-of-tests a-cluster kubectl wrk an-overlay a-way a-base a-model fuzz-artifacts pin-base propose-pins reuse image-name

help:  ## show this list
	@awk "$$HELP" $(MAKEFILE_LIST)

##@ Try it

demo: .venv/ready  ## train on the sample store, serve the model, ask it for a prediction, and say what to do next
	@.venv/bin/python -m examples.demo

serve: count-PORT .venv/ready  ## the demo, and keep its service running until Ctrl-C: make serve [PORT=8000]
	@.venv/bin/python -m examples.demo --keep-on-port '$(PORT)'

week: .venv/ready  ## add a simulated week of orders: make week [STORE=s3://bucket/prefix]
	@.venv/bin/python -m pipeline.orders.simulator '$(STORE)'

##@ Change it

check: python3.11 .venv/ready  ## format, types, imports and the quick tests, after each change
	$(TOX) -e check

test: python3.11 tools-of-tests .venv/ready  ## everything that must hold, on every supported Python of this machine
	$(TOX)-parallel --parallel 2 --parallel-live --parallel-no-spinner

tools: python3.11 .venv/ready  ## install the programs that the tests need beside Python: a browser, curl, kubectl, promtool, TypeScript, sandboxes and clocks
	@.ci/tools install $(TOOLS_OF_TESTS)

test-docs: python3.11 .venv/ready  ## only the tests that hold the documents to the code
	$(TOX) -e test-docs

static: python3.11 .venv/ready  ## only the static code analysis
	$(TOX) -e py311-static_code_analysis

notebook: python3.11 .venv/ready  ## only the notebook, and as a page with its plots in results/
	$(TOX) -e py311-notebook

bodywork: python3.11 .venv/ready  ## only the stages under Bodywork
	$(TOX) -e py311-bodywork

docs: python3.11 .tox/runner/ready  ## the documents as a site in site/: make docs [REPOSITORY_URL=https://github.com/user/name]
	$(LIGHT_TOX) -e docs

screenshots: python3.11 .venv/ready  ## the pictures of page, report and history in docs/images
	$(TOX) -e screenshots

lock: .tox/runner/ready  ## compile the exact pins in requirements*.txt from pyproject.toml: make lock [LOCK=--upgrade]
	$(LIGHT_TOX) -e lock -- $(LOCK)

clean:  ## remove all environments
	rm -rf .venv .tox .tools

##@ Test it for longer

fuzz-api: count-FUZZ_SECONDS python3.11 .venv/ready  ## the API under random requests: make fuzz-api [FUZZ_SECONDS=600]
	$(TOX) -e fuzz-api

fuzz-csv: count-FUZZ_SECONDS python3.11 .venv/ready  ## weekly files made up at random, beside Python's reader: make fuzz-csv [FUZZ_SECONDS=600]
	$(TOX) -e fuzz-csv

fuzz-artifacts: count-ARTIFACT_MUTATIONS python3.11 .venv/ready  ## 2,000 artifacts changed at random: make fuzz-artifacts [ARTIFACT_MUTATIONS=2000]
	$(TOX) -e fuzz-artifacts

soak: count-SOAK_SECONDS python3.11 .venv/ready  ## the service under all kinds of requests: make soak [SOAK_SECONDS=600]
	$(TOX) -e soak

reuse: count-REUSE_REQUESTS python3.11 .venv/ready  ## 100,000 requests of a proxy that reuses connections at random ages: make reuse [REUSE_REQUESTS=100000]
	$(TOX) -e reuse

reproduce: python3.11 .venv/ready  ## whether every supported Python of this machine makes the same artifact, to the byte
	$(TOX) -e reproduce

##@ Measure it

bench-quality bench-gate bench-training: python3.11 .venv/ready  ## a benchmark: see benchmarks/README.md
	$(TOX) -e $@

bench-serving bench-peers: wrk python3.11 .venv/ready  ## a benchmark under the load of wrk
	$(TOX) -e $@

##@ Deploy to Kubernetes

kubeconfig: given-CLUSTER program-aws .tox/runner/ready  ## let kubectl and Bodywork work on a cluster of EKS: make kubeconfig CLUSTER=name
	$(LIGHT_TOX) -e kubeconfig -- --name '$(CLUSTER)'

diff: given-OVERLAY an-overlay kubectl a-cluster  ## what apply would change on the cluster of KUBECONFIG: make diff OVERLAY=staging
	@kubectl diff --kustomize 'deploy/overlays/$(OVERLAY)' || test $$? -eq 1

apply: given-OVERLAY an-overlay kubectl a-cluster  ## the objects that Bodywork cannot make: make apply OVERLAY=staging
	kubectl apply --kustomize 'deploy/overlays/$(OVERLAY)'

deploy: given-GIT_URL url-GIT_URL kubectl a-cluster python3.11 .tox/runner/ready  ## deploy with Bodywork: make deploy GIT_URL=https://… [BRANCH=master] [COMMIT=hash] [IMAGE=user/name:tag]
	$(LIGHT_TOX) -e deploy -- '$(GIT_URL)' --branch '$(BRANCH)' $(if $(COMMIT),--commit '$(COMMIT)') $(if $(IMAGE),--image '$(IMAGE)')

deploy-plain: given-OVERLAY an-overlay given-TRAIN_IMAGE given-SERVE_IMAGE given-SERVICE_URL url-SERVICE_URL kubectl a-cluster python3.11 .tox/runner/ready  ## deploy without Bodywork: make deploy-plain OVERLAY=plain-production TRAIN_IMAGE=name@sha256:… SERVE_IMAGE=name@sha256:… SERVICE_URL=https://… [COMMIT=hash]
	$(LIGHT_TOX) -e deploy-plain -- '$(OVERLAY)' --train-image '$(TRAIN_IMAGE)' --serve-image '$(SERVE_IMAGE)' --url '$(SERVICE_URL)' $(if $(COMMIT),--commit '$(COMMIT)')

smoke: given-SERVICE_URL url-SERVICE_URL .tox/runner/ready  ## ask a deployed service for a prediction: make smoke SERVICE_URL=https://… [COMMIT=hash]
	$(LIGHT_TOX) -e smoke -- '$(SERVICE_URL)' $(if $(COMMIT),--commit '$(COMMIT)')

bodywork-cli: python3.11 .tox/runner/ready  ## Bodywork for your own use: .tox/bodywork-cli/box/bin/bodywork
	$(LIGHT_TOX) -e bodywork-cli

test-cluster: a-way kubectl a-cluster python3.11 .venv/ready  ## the life of a deployment on the cluster of KUBECONFIG, see deploy/campaign/README.md: make test-cluster [WAY=bodywork|plain]
	$(TOX) -e cluster

test-cluster-on-kind: a-way kubectl program-docker program-kind python3.11 .venv/ready  ## the same on a cluster of kind, made for it and removed afterwards
	deploy/campaign/on_kind.sh

##@ Deploy to a platform with Procfile

# Git shows no password of a URL; make and the shell must not either.
deploy-app: given-APP_GIT_URL  ## the last commit to a platform with Procfile: make deploy-app APP_GIT_URL=https://…
	@git diff --quiet HEAD || { echo "There are uncommitted changes, which would not be deployed: commit or stash them." >&2; exit 1; }
	@git push "$$APP_GIT_URL" HEAD:refs/heads/main

# Platforms build what is pushed, and nothing else: a commit without a change makes them build again.
rebuild-app: given-APP_GIT_URL  ## build the deployed commit anew: make rebuild-app APP_GIT_URL=https://…
	@git fetch --quiet "$$APP_GIT_URL" refs/heads/main
	@git push "$$APP_GIT_URL" "$$(git commit-tree -p FETCH_HEAD -m 'Build anew' 'FETCH_HEAD^{tree}'):refs/heads/main"

# What is there now must be what was fetched, so that nobody's deployment is undone unseen.
roll-back-app: given-APP_GIT_URL given-COMMIT  ## an earlier commit again: make roll-back-app APP_GIT_URL=https://… COMMIT=hash
	@git fetch --quiet "$$APP_GIT_URL" refs/heads/main
	@git push --force-with-lease="main:$$(git rev-parse FETCH_HEAD)" "$$APP_GIT_URL" "$$COMMIT^{commit}:refs/heads/main"

##@ Package it

image: given-IMAGE  ## an image of the pods: make image IMAGE=user/name:tag [TARGET=plain|serve|bodywork] [CONTAINER_ENGINE=podman]
	$(CONTAINER_ENGINE) build --target '$(TARGET)' --build-arg VERSION="$$(cat VERSION)" \
	--build-arg REVISION="$$(git rev-parse --short HEAD)" --tag '$(IMAGE)' .

# With DOCKERHUB_USERNAME and DOCKERHUB_PASSWORD in the environment it logs in first.
push-image: given-IMAGE  ## push it: make push-image IMAGE=user/name:tag
	@test -z "$$DOCKERHUB_PASSWORD" || printf '%s' "$$DOCKERHUB_PASSWORD" | \
	$(CONTAINER_ENGINE) login --username "$$DOCKERHUB_USERNAME" --password-stdin docker.io
	$(CONTAINER_ENGINE) push '$(IMAGE)'

image-digest: given-IMAGE  ## an image that was pushed, by its digest: make image-digest IMAGE=user/name:tag
	@digest=$$($(CONTAINER_ENGINE) buildx imagetools inspect --format '{{.Manifest.Digest}}' '$(IMAGE)') && \
	echo "$(firstword $(subst :, ,$(IMAGE)))@$$digest"

image-name:  ## print the name of the image, without a tag, as bodywork.yaml has it
	@sed -n 's/^ *docker_image: *\([^:]*\):.*/\1/p' bodywork.yaml

package: python3.11 .tox/runner/ready  ## the wheel of the last commit, in dist/
	$(LIGHT_TOX) -e package

publish: given-INDEX_URL url-INDEX_URL python3.11 .tox/runner/ready  ## package, and upload it: make publish INDEX_URL=https://packages.example.com/
	@$(LIGHT_TOX) -e publish

publish-model: given-INDEX_URL url-INDEX_URL a-model python3.11 .tox/runner/ready  ## the newest model as a package: make publish-model INDEX_URL=https://… [STORE=data]
	@$(LIGHT_TOX) -e publish_model -- '$(STORE)'

##@ Supply chain

pin-base:  ## write the digest that the base image has today into the Dockerfile
	@digest=$$($(CONTAINER_ENGINE) buildx imagetools inspect --format '{{.Manifest.Digest}}' python:3.11-slim) && \
	sed -i -E "s/^(FROM python:3\.11-slim)(@sha256:[0-9a-f]{64})? AS/\1@$$digest AS/" Dockerfile

propose-pins:  ## commit what lock and pin-base have changed, and open a pull request, as CI does
	@.ci/propose_pins

sbom: .tox/runner/ready  ## what the image is made of, as CycloneDX files in dist/
	$(LIGHT_TOX) -e sbom

audit: .tox/runner/ready  ## known vulnerabilities of what is pinned
	$(LIGHT_TOX) -e audit

##@ What CI asks

change-summary: given-BASE a-base python3.11 .tox/runner/ready  ## what HEAD changes in the model and on Kubernetes: make change-summary BASE=origin/master [SUMMARY=results/changes.md]
	$(LIGHT_TOX) -e change-summary -- '$(BASE)' '$(SUMMARY)'

actionlint: python3.11 .tox/runner/ready  ## check the workflows of GitHub Actions; downloads the checker from GitHub
	$(LIGHT_TOX) -e actionlint

version:  ## print the version, whether the last commit raised it, and the name of the image, as GitHub Actions reads it
	@echo "image=$$($(MAKE) --silent image-name)"
	@echo "version=$$(cat VERSION)"
	@echo "raised=$$(git diff --quiet HEAD^ -- VERSION && echo false || echo true)"

version-tag:  ## fail if a tag is not that of this version: make version-tag TAG=v1.2.3
	@test -z '$(TAG)' -o '$(TAG)' = "v$$(cat VERSION)" || { echo "The tag $(TAG) is not that of version $$(cat VERSION): tag a commit whose VERSION file says so, or change the file." >&2; exit 1; }

# What targets need. It comes before they install anything.

# The value may hold a password, so it is read from the environment, where nobody sees it.
given-%:
	@test -n "$$$*" || { echo "make $(MAKECMDGOALS) needs $*=…; make help shows an example." >&2; exit 2; }

# Whether it is one, the target itself finds out.
url-%:
	@case "$$$*" in *://?*|*@?*:?*) ;; *) echo "make $(MAKECMDGOALS) needs a URL as $*; make help shows an example." >&2; exit 2;; esac

count-%:
	@case "$$$*" in *[!0-9]*) echo "make $(MAKECMDGOALS) needs a whole number as $*; make help shows an example." >&2; exit 2;; esac

a-way:
	@case '$(WAY)' in bodywork|plain) ;; *) echo "WAY=$(WAY) should be bodywork or plain." >&2; exit 2 ;; esac

an-overlay:
	@test -f 'deploy/overlays/$(OVERLAY)/kustomization.yaml' || { echo "There is no overlay $(OVERLAY) in deploy/overlays, which has:" $$(ls deploy/overlays) >&2; exit 2; }

a-base:
	@git rev-parse --quiet --verify "$$BASE^{commit}" >/dev/null 2>&1 || { echo "There is no commit BASE=$$BASE here: git fetch gets it, if it is one." >&2; exit 2; }

# Of another store the target itself finds out.
a-model:
	@case '$(STORE)' in *://*) ;; *) ls '$(STORE)'/models/*.onnx >/dev/null 2>&1 || { echo "There is no model in STORE=$(STORE): make demo trains one in data." >&2; exit 2; };; esac

a-cluster: kubectl
	@kubectl config current-context >/dev/null 2>&1 || { echo "make $(MAKECMDGOALS) needs a cluster, and kubectl knows of none: let KUBECONFIG name its file, or run make kubeconfig CLUSTER=name first." >&2; exit 2; }

tools-of-tests: $(if $(filter install,$(TOOLS)),.venv/ready)
	@.ci/tools $(TOOLS) $(TOOLS_OF_TESTS) || { echo "make tools installs them; make tools test is all that a fresh machine needs." >&2; exit 1; }

kubectl wrk:
	@.ci/tools check $@

program-%:
	@command -v $* >/dev/null || { echo "make $(MAKECMDGOALS) needs the program $*, and there is none on PATH." >&2; exit 1; }

python3.11:
	@python3.11 --version >/dev/null 2>&1 || { echo "make $(MAKECMDGOALS) needs Python 3.11, and there is none on PATH or under pyenv." >&2; exit 1; }

.tox/runner/ready: requirements_runner.txt
	@test -n "$(PYTHON)" || { echo "There is no Python 3.11, 3.12 or 3.13 on PATH or under pyenv." >&2; exit 1; }
	@$(PYTHON) -m venv --clear .tox/runner
	@.tox/runner/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements_runner.txt
	@touch $@

# uv comes from pip, at the version that is pinned for the checks, and installs the rest.
.venv/ready: requirements_pipe.txt requirements_cicd.txt requirements_runner.txt
	@test -n "$(PYTHON)" || { echo "There is no Python 3.11, 3.12 or 3.13 on PATH or under pyenv." >&2; exit 1; }
	@echo "Making .venv with $(PYTHON); this takes a minute, once."
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements_runner.txt
	@.venv/bin/uv pip install --quiet --python .venv -r requirements_pipe.txt -r requirements_cicd.txt
	@touch $@
