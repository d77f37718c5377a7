/* Stream capture, graphs and the memory of graph nodes. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "cuda.h"

#define MIB              1048576u
#define POOLS_SUPPORTED  115
#define USED_CURRENT     0
#define RESERVED_CURRENT 2
#define STATUS_ACTIVE    1
#define MODE_GLOBAL      0
#define MODE_THREAD      1
#define MODE_RELAXED     2
#define AUTO_FREE        1
#define ALLOC_NODE       10
#define FREE_NODE        11

static CUstream stream;

static cuuint64_t graph_bytes(int attribute)
{
    cuuint64_t value = 0;
    cuda.graph_memory(0, attribute, &value);
    return value;
}

static void count_call(void *data)
{
    atomic_fetch_add((atomic_int *)data, 1);
}

/* What is captured runs when the graph does, and not before. */
static void check_capture(void)
{
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUdeviceptr one, two;
    static atomic_int calls;
    char out[8] = "before";
    int status = -1;
    size_t nodes = 0, edges = 0;
    cuda.alloc(&one, 4096);
    cuda.alloc(&two, 4096);
    CHECK("begin", cuda.capture_begin(stream, MODE_GLOBAL), CUDA_SUCCESS);
    CHECK("status", cuda.capture_status(stream, &status), CUDA_SUCCESS);
    CHECK("  active", status, STATUS_ACTIVE);
    CHECK("begin again", cuda.capture_begin(stream, MODE_GLOBAL), CUDA_ERROR_ILLEGAL_STATE);
    CHECK("set", cuda.set_d8_async(one, 'g', 8, stream), CUDA_SUCCESS);
    CHECK("copy", cuda.copy_dtod_async(two, one, 8, stream), CUDA_SUCCESS);
    CHECK("copy out", cuda.copy_dtoh_async(out, two, 6, stream), CUDA_SUCCESS);
    CHECK("host function", cuda.host_function(stream, count_call, &calls), CUDA_SUCCESS);
    CHECK("end", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    CHECK("nothing ran", strcmp(out, "before"), 0);
    CHECK("nodes", cuda.graph_nodes(graph, NULL, &nodes), CUDA_SUCCESS);
    CHECK("  one for each call", nodes, 4);
    CHECK("edges", cuda.graph_edges(graph, NULL, NULL, &edges), CUDA_SUCCESS);
    CHECK("  one after the other", edges, 3);
    CHECK("instantiate", cuda.graph_instantiate(&exec, graph, 0), CUDA_SUCCESS);
    CHECK("  nothing ran", calls, 0);
    CHECK("launch", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    CHECK("wait", cuda.stream_sync(stream), CUDA_SUCCESS);
    CHECK("  the copies", strncmp(out, "gggggg", 6), 0);
    CHECK("  the function", calls, 1);
    CHECK("launch again", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK("  the function", calls, 2);
    CHECK("destroy the executable graph", cuda.graph_exec_destroy(exec), CUDA_SUCCESS);
    CHECK("destroy the graph", cuda.graph_destroy(graph), CUDA_SUCCESS);
    CHECK("end without begin", cuda.capture_end(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
    CHECK("capture the legacy stream", cuda.capture_begin(CU_STREAM_LEGACY, MODE_GLOBAL),
          CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cuda.free(one);
    cuda.free(two);
}

/* A second stream joins by an event, and must come back. */
static void check_fork(void)
{
    CUstream other;
    CUevent fork, join;
    CUgraph graph;
    CUdeviceptr address;
    size_t nodes = 0, edges = 0;
    cuda.alloc(&address, 4096);
    cuda.stream_create(&other, CU_STREAM_NON_BLOCKING);
    cuda.event_create(&fork, CU_EVENT_DISABLE_TIMING);
    cuda.event_create(&join, CU_EVENT_DISABLE_TIMING);

    cuda.capture_begin(stream, MODE_GLOBAL);
    cuda.set_d8_async(address, 1, 8, stream);
    CHECK("record in a capture", cuda.event_record(fork, stream), CUDA_SUCCESS);
    CHECK("another stream waits", cuda.stream_wait(other, fork, 0), CUDA_SUCCESS);
    cuda.set_d8_async(address + 8, 2, 8, other);
    cuda.event_record(join, other);
    CHECK("and is waited for", cuda.stream_wait(stream, join, 0), CUDA_SUCCESS);
    cuda.set_d8_async(address, 3, 16, stream);
    CHECK("end", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    cuda.graph_nodes(graph, NULL, &nodes);
    cuda.graph_edges(graph, NULL, NULL, &edges);
    CHECK("  nodes", nodes, 3);
    CHECK("  edges", edges, 3);
    cuda.graph_destroy(graph);

    cuda.capture_begin(stream, MODE_GLOBAL);
    cuda.event_record(fork, stream);
    cuda.stream_wait(other, fork, 0);
    cuda.set_d8_async(address, 2, 8, other);
    CHECK("a stream that does not come back", cuda.capture_end(stream, &graph),
          CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    CHECK_TRUE("  gives no graph", graph == NULL);
    cuda.event_record(join, other);
    CHECK("  and both streams work again", cuda.stream_sync(other), CUDA_SUCCESS);
    cuda.event_destroy(fork);
    cuda.event_destroy(join);
    cuda.stream_destroy(other);
    cuda.free(address);
}

static void *alloc_and_free(void *unused)
{
    (void)unused;
    CUcontext context;
    CUdeviceptr address;
    cuda.primary_retain(&context, 0);
    cuda.context_set(context);
    CUresult result = cuda.alloc(&address, MIB);
    if (result == CUDA_SUCCESS)
        cuda.free(address);
    cuda.primary_release(0);
    return (void *)(intptr_t)result;
}

static CUresult alloc_in_another_thread(void)
{
    pthread_t thread;
    void *result = NULL;
    pthread_create(&thread, NULL, alloc_and_free, NULL);
    pthread_join(thread, &result);
    return (CUresult)(intptr_t)result;
}

/* What may not happen during a capture, and the modes that allow it. */
static void check_modes(void)
{
    CUgraph graph;
    CUdeviceptr address = 0;
    int mode = MODE_RELAXED;

    cuda.capture_begin(stream, MODE_GLOBAL);
    CHECK("alloc during a global capture", cuda.alloc(&address, MIB),
          CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CHECK("  spoils it", cuda.capture_end(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    cuda.capture_begin(stream, MODE_GLOBAL);
    CHECK("exchange the mode", cuda.capture_mode(&mode), CUDA_SUCCESS);
    CHECK("  gives the old one", mode, MODE_GLOBAL);
    CHECK("alloc in a relaxed thread", cuda.alloc(&address, MIB), CUDA_SUCCESS);
    CHECK("  spoils nothing", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    cuda.graph_destroy(graph);
    cuda.capture_mode(&mode);
    CHECK("exchange back", mode, MODE_RELAXED);

    cuda.capture_begin(stream, MODE_RELAXED);
    CHECK("free during a relaxed capture", cuda.free(address), CUDA_SUCCESS);
    CHECK("  spoils nothing", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    cuda.graph_destroy(graph);

    cuda.capture_begin(stream, MODE_THREAD);
    CHECK("alloc in another thread", alloc_in_another_thread(), CUDA_SUCCESS);
    CHECK("  of a thread's capture", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    cuda.graph_destroy(graph);
    cuda.capture_begin(stream, MODE_GLOBAL);
    CHECK("alloc in another thread", alloc_in_another_thread(),
          CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CHECK("  of a global capture", cuda.capture_end(stream, &graph),
          CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    cuda.capture_begin(stream, MODE_RELAXED);
    CHECK("synchronise what captures", cuda.stream_sync(stream),
          CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CHECK("  spoils it", cuda.capture_end(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK("after all that the stream works", cuda.stream_sync(stream), CUDA_SUCCESS);
}

/* What a captured stream may not be mixed with; each attempt spoils the capture. */
static void check_mixing(void)
{
    CUstream blocking, other;
    CUevent plain, captured;
    CUgraph graph;
    CUdeviceptr address;
    cuda.alloc(&address, 4096);
    cuda.stream_create(&blocking, 0);
    cuda.stream_create(&other, CU_STREAM_NON_BLOCKING);
    cuda.event_create(&plain, CU_EVENT_DISABLE_TIMING);
    cuda.event_create(&captured, CU_EVENT_DISABLE_TIMING);
    cuda.event_record(plain, other);

    cuda.capture_begin(blocking, MODE_RELAXED);
    CHECK("work in the legacy stream", cuda.set_d8_async(address, 1, 8, NULL),
          CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    CHECK("  spoils a blocking stream's capture", cuda.capture_end(blocking, &graph),
          CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    cuda.capture_begin(stream, MODE_RELAXED);
    CHECK("  but not a non-blocking one's", cuda.set_d8_async(address, 1, 8, NULL), CUDA_SUCCESS);
    CHECK("  indeed", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    cuda.graph_destroy(graph);

    cuda.capture_begin(stream, MODE_RELAXED);
    CHECK("wait for what is not captured", cuda.stream_wait(stream, plain, 0),
          CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    CHECK("  spoils it", cuda.capture_end(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    cuda.capture_begin(stream, MODE_RELAXED);
    cuda.capture_begin(other, MODE_RELAXED);
    cuda.event_record(captured, other);
    CHECK("wait for another capture", cuda.stream_wait(stream, captured, 0),
          CUDA_ERROR_STREAM_CAPTURE_MERGE);
    CHECK("query a captured event", cuda.event_query(captured), CUDA_ERROR_CAPTURED_EVENT);
    cuda.capture_end(stream, &graph);
    cuda.capture_end(other, &graph);
    cuda.event_destroy(plain);
    cuda.event_destroy(captured);
    cuda.stream_destroy(other);
    cuda.stream_destroy(blocking);
    cuda.free(address);
}

/* Memory of nodes: there from launch or upload on, in reserve after the free, gone by the trim. */
static void check_graph_memory(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr address = 0;
    CUgraphNode nodes[4];
    size_t count = 4;
    int type = -1;
    cuda.graph_trim(0);
    size_t before = cuda_free_bytes();
    cuda.capture_begin(stream, MODE_GLOBAL);
    CHECK("alloc", cuda.alloc_async(&address, 64 * MIB, stream), CUDA_SUCCESS);
    CHECK_TRUE("  has an address", address != 0);
    cuda.set_d8_async(address, 5, 64, stream);
    CHECK("free", cuda.free_async(address, stream), CUDA_SUCCESS);
    CHECK("end", cuda.capture_end(stream, &graph), CUDA_SUCCESS);
    cuda.graph_nodes(graph, nodes, &count);
    CHECK("nodes", count, 3);
    cuda.graph_node_type(nodes[0], &type);
    CHECK("  the first allocates", type, ALLOC_NODE);
    cuda.graph_node_type(nodes[2], &type);
    CHECK("  the last frees", type, FREE_NODE);
    CHECK("instantiate", cuda.graph_instantiate(&exec, graph, 0), CUDA_SUCCESS);
    CHECK("nothing is reserved", graph_bytes(RESERVED_CURRENT), 0);
    CHECK("launch", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK_TRUE("  now it is", graph_bytes(RESERVED_CURRENT) >= 64 * MIB);
    CHECK_TRUE("  and mapped by the graph", graph_bytes(USED_CURRENT) >= 64 * MIB);
    CHECK_TRUE("  the device has less", before - cuda_free_bytes() >= 64 * MIB);
    CHECK("trim while the graph rests", cuda.graph_trim(0), CUDA_SUCCESS);
    CHECK("  nothing is reserved", graph_bytes(RESERVED_CURRENT), 0);
    CHECK("launch again", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK_TRUE("  it is again", graph_bytes(RESERVED_CURRENT) >= 64 * MIB);
    cuda.graph_exec_destroy(exec);
    cuda.graph_destroy(graph);
    CHECK_TRUE("the graph ends, the reserve stays", graph_bytes(RESERVED_CURRENT) >= 64 * MIB);
    CHECK("trim", cuda.graph_trim(0), CUDA_SUCCESS);
    CHECK("  nothing is reserved", graph_bytes(RESERVED_CURRENT), 0);
    CHECK("  nothing is mapped", graph_bytes(USED_CURRENT), 0);
    check_between("  the device has it back", (long long)(before - cuda_free_bytes()), 0, 4 * MIB);
}

/* An allocation that the graph does not free outlives the launch. */
static void check_outliving(void)
{
    CUgraph graph;
    CUgraphExec exec, exec_auto;
    CUdeviceptr address = 0;
    unsigned char byte = 0;
    cuda.capture_begin(stream, MODE_GLOBAL);
    cuda.alloc_async(&address, 2 * MIB, stream);
    cuda.set_d8_async(address, 9, 64, stream);
    cuda.capture_end(stream, &graph);
    cuda.graph_instantiate(&exec, graph, 0);
    CHECK("launch", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK("read what it wrote", cuda.copy_dtoh(&byte, address, 1), CUDA_SUCCESS);
    CHECK("  there it is", byte, 9);
    cuda.graph_trim(0);
    CHECK_TRUE("a trim leaves it", graph_bytes(USED_CURRENT) >= 2 * MIB);
    CHECK("  as it was", cuda.copy_dtoh(&byte, address, 1), CUDA_SUCCESS);
    CHECK("launch while that lives", cuda.graph_launch(exec, stream), CUDA_ERROR_INVALID_VALUE);
    CHECK("free", cuda.free_async(address, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    cuda.graph_trim(0);
    CHECK("after the free the trim takes it", graph_bytes(USED_CURRENT), 0);
    CHECK("launch again", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK("free with cuMemFree", cuda.free(address), CUDA_SUCCESS);
    cuda.graph_exec_destroy(exec);
    cuda.graph_instantiate(&exec_auto, graph, AUTO_FREE);
    cuda.graph_launch(exec_auto, stream);
    CHECK("launch that frees first", cuda.graph_launch(exec_auto, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    cuda.free(address);
    cuda.graph_exec_destroy(exec_auto);
    cuda.graph_destroy(graph);
    cuda.graph_trim(0);
}

static void check_nodes(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode alloc, release;
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = { .allocType = 1, .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } },
        .bytesize = 4 * MIB
    };
    CHECK("create", cuda.graph_create(&graph, 0), CUDA_SUCCESS);
    CHECK("alloc node", cuda.graph_add_alloc(&alloc, graph, NULL, 0, &params), CUDA_SUCCESS);
    CHECK_TRUE("  gives the address", params.dptr != 0);
    CHECK("free node", cuda.graph_add_free(&release, graph, &alloc, 1, params.dptr), CUDA_SUCCESS);
    CHECK("instantiate", cuda.graph_instantiate(&exec, graph, 0), CUDA_SUCCESS);
    CHECK("upload", cuda.graph_upload(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    CHECK_TRUE("  reserves", graph_bytes(RESERVED_CURRENT) >= 4 * MIB);
    CHECK("launch", cuda.graph_launch(exec, stream), CUDA_SUCCESS);
    cuda.stream_sync(stream);
    cuda.graph_exec_destroy(exec);
    cuda.graph_destroy(graph);
    cuda.graph_trim(0);
}

int main(void)
{
    check_start();
    cuda_start();
    int pools = 0;
    cuda.device_attribute(&pools, POOLS_SUPPORTED, 0);
    cuda.stream_create(&stream, CU_STREAM_NON_BLOCKING);
    check_capture();
    check_fork();
    check_modes();
    check_mixing();
    if (pools && cuda.graph_add_alloc != NULL) {
        check_graph_memory();
        check_outliving();
        check_nodes();
    } else {
        check_skip("graph memory", "the device does not support memory pools");
    }
    return check_finish();
}
