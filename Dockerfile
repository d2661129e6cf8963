# Three images of the same stages: `make image TARGET=…`, and the last of them without it.
#
#   plain     both stages, for Kubernetes without Bodywork
#   serve     the service alone, as small as it gets
#   bodywork  the requirements, and Bodywork beside them; Bodywork clones the code

# The only image from outside, so that one digest pins it: `make pin-base` writes it here.
FROM python:3.11-slim AS python

FROM python AS tools
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
WORKDIR /build
COPY requirements_runner.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements_runner.txt

FROM tools AS code
COPY pyproject.toml VERSION README.md LICENSE ./
COPY pipeline ./pipeline
RUN uv build --wheel --out-dir /opt/code

# matplotlib looks at all fonts the first time, which would take seconds in each pod. What it has
# found it only reads in a folder that it may write.
# With REQUIREMENTS=requirements_dask.txt the image works on a Dask cluster, too.
FROM tools AS requirements
COPY requirements_pipe.txt requirements_dask.txt ./
ARG REQUIREMENTS=requirements_pipe.txt
RUN uv venv --no-project /opt/pipeline \
    && uv pip install --require-hashes --python /opt/pipeline -r "$REQUIREMENTS" \
    && MPLCONFIGDIR=/opt/matplotlib /opt/pipeline/bin/python -c "import matplotlib.font_manager" \
    && chmod 777 /opt/matplotlib

FROM requirements AS pipeline
COPY --from=code /opt/code /opt/code
RUN uv pip install --python /opt/pipeline --no-deps /opt/code/*.whl

# Not needed: tests, the library of onnxruntime for programs in C and its tools for other models, and
# what botocore knows of services other than S3 and those that give credentials.
FROM tools AS serving
COPY requirements_serve.txt ./
COPY --from=code /opt/code /opt/code
RUN uv venv --no-project /opt/serve \
    && uv pip install --require-hashes --python /opt/serve -r requirements_serve.txt \
    && uv pip install --python /opt/serve --no-deps /opt/code/*.whl \
    && find /opt/serve -type d -name tests -prune -exec rm -r {} + \
    && rm -r /opt/serve/lib/python3.11/site-packages/onnxruntime/quantization \
             /opt/serve/lib/python3.11/site-packages/onnxruntime/tools \
             /opt/serve/lib/python3.11/site-packages/onnxruntime/transformers \
    && rm -f /opt/serve/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.* \
    && find /opt/serve/lib/python3.11/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name signin ! -name "sso*" ! -name sts -exec rm -r {} +

# Bodywork 3.0.12 dates from 2022, and so do the tools that it is built with.
FROM tools AS box
COPY requirements_bodywork.txt bodywork_build_constraints.txt ./
RUN uv venv --no-project /opt/bodywork \
    && uv pip install --require-hashes --python /opt/bodywork --build-constraint bodywork_build_constraints.txt -r requirements_bodywork.txt


# The base image has the standard library without its bytecode, and each start would compile it
# anew: a second and a half in a pod of the service, for Bodywork and for ours.
FROM python AS pod
RUN useradd --uid 1000 --create-home pipeline \
    && python -m compileall -q -x '/(idlelib|lib2to3|site-packages|test)/' /usr/local/lib/python3.11
# What Python would compile in a pod is used once. Bodywork starts a stage inside the folder
# pipeline/, no module of which may then stand for a library.
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /home/pipeline


FROM pod AS plain
COPY --from=pipeline /opt/pipeline /opt/pipeline
COPY --from=pipeline /opt/matplotlib /opt/matplotlib
USER 1000:1000
CMD ["ttd-train", "--help"]
ARG VERSION=unknown
ARG REVISION=unknown
ENV PATH=/opt/pipeline/bin:$PATH \
    MPLCONFIGDIR=/opt/matplotlib \
    GIT_COMMIT_HASH=$REVISION
LABEL org.opencontainers.image.title="time-to-dispatch" \
      org.opencontainers.image.description="Trains models of time-to-dispatch, and serves them" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"


FROM pod AS serve
COPY --from=serving /opt/serve /opt/serve
USER 1000:1000
EXPOSE 8000
CMD ["ttd-serve", "--host", "::"]
ARG VERSION=unknown
ARG REVISION=unknown
ENV PATH=/opt/serve/bin:$PATH \
    GIT_COMMIT_HASH=$REVISION
LABEL org.opencontainers.image.title="time-to-dispatch" \
      org.opencontainers.image.description="Serves models of time-to-dispatch" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"


FROM pod AS bodywork
# Bodywork clones with git. A version pinned here is gone from Debian with the next security fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=requirements /opt/pipeline /opt/pipeline
COPY --from=requirements /opt/matplotlib /opt/matplotlib
COPY --from=box /opt/bodywork /opt/bodywork
COPY docker/bodywork /usr/local/bin/bodywork
COPY docker/git /opt/git
COPY deploy/bodywork_run.py deploy/redeploy.py /opt/deploy/
# Git checks out the commit that was deployed, takes a password from a secret, and tells Bodywork
# whole hashes: a server does not hand out a commit by a part of its hash.
ENV GIT_CONFIG_COUNT=3 \
    GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/opt/git \
    GIT_CONFIG_KEY_1=credential.helper GIT_CONFIG_VALUE_1=/opt/git/credential \
    GIT_CONFIG_KEY_2=core.abbrev GIT_CONFIG_VALUE_2=40
USER 1000:1000
CMD ["bodywork", "--help"]
ARG VERSION=unknown
ARG REVISION=unknown
# `python` is the pipeline's.
ENV PATH=/opt/pipeline/bin:$PATH \
    BODYWORK_BOX=/opt/bodywork \
    MPLCONFIGDIR=/opt/matplotlib
LABEL org.opencontainers.image.title="time-to-dispatch" \
      org.opencontainers.image.description="Runs the stages of time-to-dispatch under Bodywork" \
      org.opencontainers.image.licenses="MIT AND AGPL-3.0-only" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
