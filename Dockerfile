# The image of all pods: the pipeline's requirements, and Bodywork beside them in an environment of
# its own. The code is not in it: Bodywork clones the repository. Build it with `make image`.

FROM python:3.11-slim AS build

ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
WORKDIR /build
COPY requirements_pipe.txt requirements_dask.txt requirements_cicd.txt requirements_bodywork.txt bodywork_build_constraints.txt ./
RUN pip install --no-cache-dir --constraint requirements_cicd.txt uv
# matplotlib looks at all fonts the first time, which would take seconds in each pod. What it has
# found it only reads in a folder that it may write.
# With REQUIREMENTS=requirements_dask.txt the image works on a Dask cluster, too.
ARG REQUIREMENTS=requirements_pipe.txt
RUN uv venv --no-project /opt/pipeline \
    && uv pip install --python /opt/pipeline -r "$REQUIREMENTS" \
    && MPLCONFIGDIR=/opt/matplotlib /opt/pipeline/bin/python -c "import matplotlib.font_manager" \
    && chmod 777 /opt/matplotlib

# Bodywork 3.0.12 dates from 2022, and so do the tools that it is built with.
# hadolint ignore=DL3059
RUN uv venv --no-project /opt/bodywork \
    && uv pip install --python /opt/bodywork --build-constraint bodywork_build_constraints.txt -r requirements_bodywork.txt


FROM python:3.11-slim

# Bodywork clones with git. A version pinned here is gone from Debian with the next security fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home pipeline

# The base image has the standard library without its bytecode, and each start would compile it
# anew: a second and a half in a pod of the service, for Bodywork and for ours.
RUN python -m compileall -q -x '/(idlelib|lib2to3|site-packages|test)/' /usr/local/lib/python3.11

COPY --from=build /opt /opt
COPY docker/bodywork /usr/local/bin/bodywork

# `python` is the pipeline's; what it would compile in a pod is used once. Bodywork starts a stage
# inside the folder pipeline/, no module of which may then stand for a library.
ENV PATH=/opt/pipeline/bin:$PATH \
    BODYWORK_BOX=/opt/bodywork \
    MPLCONFIGDIR=/opt/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1

USER 1000:1000
WORKDIR /home/pipeline
CMD ["bodywork", "--help"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="time-to-dispatch" \
      org.opencontainers.image.description="Runs the stages of time-to-dispatch under Bodywork" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
