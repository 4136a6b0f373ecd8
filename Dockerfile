# docker build -t hrnet-search .
# docker run --rm -v "$PWD:/work" hrnet-search run space.yaml --data-root /work/data
FROM python:3.12-slim
# For NVIDIA GPUs: docker build --build-arg TORCH=https://download.pytorch.org/whl/cu126, docker run --gpus all
ARG TORCH=https://download.pytorch.org/whl/cpu
WORKDIR /opt/hrnet-search
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY hrnet_search hrnet_search
RUN pip install --no-cache-dir --extra-index-url "$TORCH" --constraint constraints.txt '.[onnx]'
COPY configs configs
COPY search_spaces search_spaces
WORKDIR /work
ENTRYPOINT ["hrnet-search"]
CMD ["--help"]
