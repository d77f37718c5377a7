/* The functions of PyTorch that are interposed. Below its caching allocator there are only
 * segments; these two tell of the blocks in them. libc10_cuda.so calls them across the border of a
 * library (libc10.so), so a definition in a preloaded library is called instead.
 *
 *   VG_TORCH(symbol, kind, versions)
 *
 * symbol    the mangled name, which carries the signature: another one means other parameters
 * kind      MEMORY: c10::reportMemoryUsageToProfiler(void *ptr, int64_t alloc_size,
 *                   size_t total_allocated, size_t total_reserved, c10::Device device)
 *           OUT_OF_MEMORY: c10::reportOutOfMemoryToProfiler(int64_t alloc_size,
 *                   size_t total_allocated, size_t total_reserved, c10::Device device)
 * versions  of PyTorch in which it was seen, by reading libc10_cuda.so's symbols
 *
 * Derived from it: the wrappers, the export list, what test/transparency allows. */
/* clang-format off */
VG_TORCH(_ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE, MEMORY, "2.0.1 to 2.14.1")
VG_TORCH(_ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE, OUT_OF_MEMORY, "2.0.1 to 2.14.1")
VG_TORCH(_ZN3c1027reportMemoryUsageToProfilerEPvlllNS_6DeviceE, MEMORY, "1.13.1")
VG_TORCH(_ZN3c1027reportOutOfMemoryToProfilerElllNS_6DeviceE, OUT_OF_MEMORY, "1.13.1")
/* clang-format on */
