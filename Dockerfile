# The image of every process of a deployment: web, worker, scheduler, migrate (docker-compose.yml).
FROM python:3.11-slim AS build
COPY requirements.txt .
# All of them have binary packages: no compiler is needed.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --only-binary :all: -r requirements.txt

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=project.settings DATA_DIR=/data
RUN useradd --system --uid 10001 --user-group --no-create-home bc \
    && install -d -o bc -g bc /data
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
# The web process serves static files itself; the key is used in this step only.
RUN SECRET_KEY=for-collectstatic-only python manage.py collectstatic --no-input
USER bc
VOLUME /data
EXPOSE 8000
CMD ["python", "manage.py", "web"]
