"""Back end of CPUs: a model's modules as compiled C++, differentiable twice."""
