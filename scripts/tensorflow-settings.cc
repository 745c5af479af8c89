// An addon that is loaded before tfjs-node's: sets what TensorFlow reads from the environment, and loads its library quietly.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

#include <cstdlib>

// TENSORFLOW_LIBRARY is the path of libtensorflow_framework.so.2, given by the compiler's command line.
NAPI_MODULE_INIT() {
  if (dlopen(TENSORFLOW_LIBRARY, RTLD_LAZY | RTLD_NOLOAD) != nullptr) return exports;
  // Else TensorFlow takes all memory of a GPU at its start.
  setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true", 0);
  // Warnings, and no notes on how it was compiled.
  setenv("TF_CPP_MIN_LOG_LEVEL", "1", 0);
  // One note is written to standard error while the library is loaded, before any level counts.
  const int error = dup(STDERR_FILENO);
  const int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  const void *library = dlopen(TENSORFLOW_LIBRARY, RTLD_LAZY);
  dup2(error, STDERR_FILENO);
  close(error);
  close(nowhere);
  if (library == nullptr) napi_throw_error(env, nullptr, dlerror());
  return exports;
}
