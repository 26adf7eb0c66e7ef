# `prenda serve` in a container, without torch. docs/serving.md explains how to run it.
#
#   docker build -t prenda .
#   docker run --rm -p 127.0.0.1:8000:8000 -v ./model:/model:ro prenda      # ./model is a bundle

FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY conf conf
COPY docs/reference/configuration.md docs/reference/
COPY src src
# The environment holds no pip. Byte code is written here, because the container's own files are read-only.
RUN python -m venv --without-pip /opt/prenda \
 && python -m pip --python /opt/prenda/bin/python --no-cache-dir --disable-pip-version-check install \
    --constraint requirements.lock .

FROM python:3.12-slim-bookworm
COPY --from=build /opt/prenda /opt/prenda
ENV PATH=/opt/prenda/bin:$PATH \
    PRENDA_HOME=/srv/prenda \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv/prenda
# No name belongs to this number, so no file of the image belongs to it either.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# All addresses of the container; `docker run -p` decides who reaches it.
ENTRYPOINT ["prenda", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--model", "/model"]
