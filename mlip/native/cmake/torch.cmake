# Defines the target `torch`: headers and libraries of the torch of the Python that vitreous is installed in.
# Not find_package(Torch): of a torch for CUDA it asks for a CUDA compiler, which nothing here needs.
find_program(Python_EXECUTABLE NAMES python python3)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c
          "from importlib.util import find_spec; print(*find_spec('torch').submodule_search_locations)"
  OUTPUT_VARIABLE TORCH OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT EXISTS "${TORCH}/include/ATen")
  message(FATAL_ERROR "found no torch by ${Python_EXECUTABLE}; expected that of vitreous: -D Python_EXECUTABLE=PYTHON")
endif()
message(STATUS "Torch: ${TORCH}")

add_library(torch INTERFACE)
target_include_directories(torch SYSTEM INTERFACE "${TORCH}/include" "${TORCH}/include/torch/csrc/api/include")
# CUDA's libraries come with libtorch, but only if the linker keeps it although no symbol is used.
target_link_libraries(torch INTERFACE "-L${TORCH}/lib" -Wl,--no-as-needed -ltorch -ltorch_cpu -lc10)
