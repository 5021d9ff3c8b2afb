# Pages, worker and commands of the studio, with the miniature; `compose.yaml` starts it with all that it needs.
FROM python:3.11-slim-bookworm

# OpenCV's wheel wants both
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /studio
COPY pyproject.toml setup.py constraints.txt README.md LICENSE app.py ./
COPY assets assets
COPY pipelines pipelines
COPY personas personas
COPY studio studio

# Gradio asks for Pillow below 13, which has critical flaws in reading JPEG: 13.0.0 is put in afterwards
RUN python -m pip install --no-cache-dir -c constraints.txt -e . \
    && python -m pip install --no-cache-dir --no-deps pillow==13.0.0

RUN useradd --create-home --uid 1000 studio && install -d -o studio -g studio -m 700 /data
USER studio
ENV PERSONA_STUDIO_DATA=/data PYTHONUNBUFFERED=1
EXPOSE 7860
CMD ["python", "app.py"]
