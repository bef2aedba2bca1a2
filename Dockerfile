# A GPU image; it starts with a check of what works:
#   docker build --tag vitreous .
#   docker run --rm --gpus all vitreous
#   docker run --rm --gpus all --volume "$PWD:/data" vitreous train data.train=frames.extxyz
# The driver of the host must support CUDA 13. For another CUDA give BASE and TORCH_INDEX that belong together.
ARG BASE=nvidia/cuda:13.0.2-devel-ubuntu24.04
FROM ${BASE}

ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/vitreous/bin:${PATH} \
    VITREOUS_CACHE=/opt/vitreous/cache \
    PIP_NO_CACHE_DIR=1

RUN python3 -m venv /opt/vitreous \
    && pip install ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} "${TORCH}"

WORKDIR /opt/vitreous/source
COPY LICENSE README.md constraints.txt pyproject.toml ./
COPY conf conf
COPY datasets datasets
COPY md md
COPY mlip mlip
COPY train train

# The LAMMPS plugin is compiled here, without a GPU, and found again by every user of the image.
RUN pip install --constraint constraints.txt ".[lammps]" \
    && mlip lammps build \
    && chmod -R a+rX /opt/vitreous

WORKDIR /data
ENTRYPOINT ["mlip"]
CMD ["doctor"]
