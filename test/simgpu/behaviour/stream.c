/* Streams, events, host functions, modules and launches. */
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "cuda.h"

static void check_streams(void)
{
    CUstream stream = NULL, urgent = NULL;
    CUcontext context, current;
    unsigned int flags = 99;
    int priority = 99, least, greatest;
    CHECK("create", cuda.stream_create(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    CHECK("flags", cuda.stream_flags(stream, &flags), CUDA_SUCCESS);
    CHECK("  as created", flags, CU_STREAM_NON_BLOCKING);
    cuda.context_get(&current);
    CHECK("context", cuda.stream_context(stream, &context), CUDA_SUCCESS);
    CHECK_TRUE("  is the current one", context == current);
    cuda.context_priorities(&least, &greatest);
    CHECK("create with priority", cuda.stream_create_priority(&urgent, 0, greatest - 100),
          CUDA_SUCCESS);
    CHECK("priority", cuda.stream_priority(urgent, &priority), CUDA_SUCCESS);
    CHECK("  cut to the range", priority, greatest);
    CHECK("synchronise", cuda.stream_sync(stream), CUDA_SUCCESS);
    CHECK("query when idle", cuda.stream_query(stream), CUDA_SUCCESS);
    CHECK("the default streams", cuda.stream_sync(NULL), CUDA_SUCCESS);
    CHECK("  by their names", cuda.stream_sync(CU_STREAM_LEGACY), CUDA_SUCCESS);
    CHECK("  per thread", cuda.stream_sync(CU_STREAM_PER_THREAD), CUDA_SUCCESS);
    CHECK("destroy", cuda.stream_destroy(stream), CUDA_SUCCESS);
    CHECK("destroy the other", cuda.stream_destroy(urgent), CUDA_SUCCESS);
    CHECK("unknown flags", cuda.stream_create(&stream, 99), CUDA_ERROR_INVALID_VALUE);
    CHECK("no output", cuda.stream_create(NULL, 0), CUDA_ERROR_INVALID_VALUE);
}

static void check_async(void)
{
    CUstream stream;
    CUdeviceptr one, two;
    char in[1000], out[1000] = "";
    memset(in, 'x', sizeof(in));
    cuda.stream_create(&stream, 0);
    cuda.alloc(&one, 1000);
    cuda.alloc(&two, 1000);
    CHECK("copy in", cuda.copy_htod_async(one, in, 500, stream), CUDA_SUCCESS);
    CHECK("set", cuda.set_d8_async(one + 500, 'y', 500, stream), CUDA_SUCCESS);
    CHECK("copy over", cuda.copy_dtod_async(two, one, 1000, stream), CUDA_SUCCESS);
    CHECK("copy out", cuda.copy_dtoh_async(out, two, 1000, stream), CUDA_SUCCESS);
    CHECK("wait", cuda.stream_sync(stream), CUDA_SUCCESS);
    CHECK("the first half", out[499], 'x');
    CHECK("the second half", out[500], 'y');
    cuda.free(one);
    cuda.free(two);
    cuda.stream_destroy(stream);
}

static void check_events(void)
{
    CUstream stream;
    CUevent start, end, plain;
    float ms = -1;
    cuda.stream_create(&stream, 0);
    CHECK("create", cuda.event_create(&start, 0), CUDA_SUCCESS);
    cuda.event_create(&end, CU_EVENT_BLOCKING_SYNC);
    cuda.event_create(&plain, CU_EVENT_DISABLE_TIMING);
    CHECK("query before the first record", cuda.event_query(start), CUDA_SUCCESS);
    CHECK("elapsed before the first record", cuda.event_elapsed(&ms, start, end),
          CUDA_ERROR_INVALID_HANDLE);
    CHECK("record", cuda.event_record(start, stream), CUDA_SUCCESS);
    CHECK("record the end", cuda.event_record(end, stream), CUDA_SUCCESS);
    CHECK("record one without time", cuda.event_record(plain, stream), CUDA_SUCCESS);
    CHECK("synchronise", cuda.event_sync(end), CUDA_SUCCESS);
    CHECK("query after", cuda.event_query(end), CUDA_SUCCESS);
    CHECK("elapsed", cuda.event_elapsed(&ms, start, end), CUDA_SUCCESS);
    CHECK_TRUE("  is plausible", ms >= 0 && ms < 10000);
    CHECK("elapsed without time", cuda.event_elapsed(&ms, start, plain), CUDA_ERROR_INVALID_HANDLE);
    CHECK("wait", cuda.stream_wait(NULL, end, 0), CUDA_SUCCESS);
    CHECK("between processes with time", cuda.event_create(&plain, CU_EVENT_INTERPROCESS),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("destroy", cuda.event_destroy(start), CUDA_SUCCESS);
    cuda.event_destroy(end);
    cuda.event_destroy(plain);
    cuda.stream_destroy(stream);
}

static void count(void *data)
{
    atomic_fetch_add((atomic_int *)data, 1);
}

static void check_host_functions(void)
{
    CUstream stream;
    static atomic_int calls;
    cuda.stream_create(&stream, 0);
    CHECK("host function", cuda.host_function(stream, count, &calls), CUDA_SUCCESS);
    CHECK("host function again", cuda.host_function(stream, count, &calls), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK("  both have run", calls, 2);
    CHECK("no function", cuda.host_function(stream, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    cuda.stream_destroy(stream);
}

static const char ptx[] =
    ".version 7.0\n.target sm_52\n.address_size 64\n"
    ".visible .global .align 4 .b8 table[100];\n"
    ".visible .global .align 8 .u64 number;\n"
    ".visible .entry nothing() { ret; }\n"
    ".visible .entry nothing_more() { ret; }\n";

static void check_variables(CUmodule module)
{
    CUdeviceptr table = 0, again = 0;
    size_t bytes = 0;
    unsigned int functions = 0;
    CHECK("variable", cuda.module_global(&table, &bytes, module, "table"), CUDA_SUCCESS);
    CHECK("  its size", bytes, 100);
    CHECK("  can be written", cuda.set_d8(table, 1, bytes), CUDA_SUCCESS);
    CHECK("  stays where it is", cuda.module_global(&again, NULL, module, "table"), CUDA_SUCCESS);
    CHECK("  indeed", again, table);
    CHECK("another", cuda.module_global(NULL, &bytes, module, "number"), CUDA_SUCCESS);
    CHECK("  its size", bytes, 8);
    CHECK("no such variable", cuda.module_global(&table, &bytes, module, "nothing"),
          CUDA_ERROR_NOT_FOUND);
    if (cuda.module_function_count == NULL) {
        check_skip("number of functions", "the driver is older than CUDA 12.4");
        return;
    }
    CHECK("number of functions", cuda.module_function_count(&functions, module), CUDA_SUCCESS);
    CHECK("  two", functions, 2);
}

static void check_launch(void)
{
    CUmodule module;
    CUfunction function, missing;
    int threads = 0, blocks = 0;
    CHECK("load", cuda.module_load(&module, ptx), CUDA_SUCCESS);
    CHECK("function", cuda.module_function(&function, module, "nothing"), CUDA_SUCCESS);
    CHECK("no such function", cuda.module_function(&missing, module, "something"),
          CUDA_ERROR_NOT_FOUND);
    CHECK("launch", cuda.launch(function, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL), CUDA_SUCCESS);
    CHECK("synchronise", cuda.context_sync(), CUDA_SUCCESS);
    CHECK("no blocks", cuda.launch(function, 0, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("too many threads", cuda.launch(function, 1, 1, 1, 1024, 2, 1, 0, NULL, NULL, NULL),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("attribute", cuda.function_attribute(&threads, 0, function), CUDA_SUCCESS);
    check_between("  threads per block", threads, 32, 1024);
    CHECK("occupancy", cuda.occupancy_blocks(&blocks, function, 256, 0), CUDA_SUCCESS);
    check_between("  blocks", blocks, 1, 32);
    check_variables(module);
    CHECK("unload", cuda.module_unload(module), CUDA_SUCCESS);
    CHECK("no image", cuda.module_load(&module, NULL), CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
    check_start();
    cuda_start();
    check_streams();
    check_async();
    check_events();
    check_host_functions();
    check_launch();
    return check_finish();
}
