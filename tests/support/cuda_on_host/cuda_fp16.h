// CUDA's fp16, as far as emitted kernels use it.
#pragma once
#include "device.h"

using __half = _Float16;

inline float __half2float(__half value) { return float(value); }
inline __half __float2half_rn(float value) { return __half(value); }
