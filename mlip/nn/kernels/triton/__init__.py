"""Back end of CUDA devices: a model's modules as Triton kernels, differentiable twice."""
