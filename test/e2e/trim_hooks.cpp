// Trim hooks that behave in every way there is: run by test_trim.py as `trim_hooks MODE`, on a
// device of 2 GiB. What a step gives is printed; a wrong one ends the program with 70.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vramguard.h"

extern "C" {
typedef struct CUctx_st *CUcontext;
int cuInit(unsigned flags);
int cuDevicePrimaryCtxRetain(CUcontext *context, int device);
int cuCtxSetCurrent(CUcontext context);
int cuCtxGetCurrent(CUcontext *context);
int cuMemAlloc_v2(unsigned long long *address, size_t bytes);
int cuMemFree_v2(unsigned long long address);
}

namespace
{

const size_t MiB = 1 << 20, GiB = 1 << 30;

// More than is free beside a context, though not more than the device has.
const size_t most = 2040 * MiB;

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                  \
            std::fflush(stdout);                                                                   \
            _exit(70);                                                                             \
        }                                                                                          \
    } while (0)

CUcontext context;

void use_gpu()
{
    MUST(cuInit(0) == 0);
    MUST(cuDevicePrimaryCtxRetain(&context, 0) == 0);
    MUST(cuCtxSetCurrent(context) == 0);
}

// What the program could do without.
struct Cache {
    unsigned long long address = 0;
    size_t bytes;
    explicit Cache(size_t size) : bytes(size)
    {
        MUST(cuMemAlloc_v2(&address, size) == 0);
    }
    uint64_t clear()
    {
        if (!address)
            return 0;
        MUST(cuMemFree_v2(address) == 0);
        address = 0;
        return bytes;
    }
};

uint64_t clear_cache(int device, uint64_t wanted, uint64_t freed, void *argument)
{
    MUST(device == 0);
    (void)wanted, (void)freed;
    return static_cast<Cache *>(argument)->clear();
}

// Unlike a function's arguments, these are evaluated in their order.
void print(const char *what, std::initializer_list<int> numbers)
{
    std::printf("%s", what);
    for (int number : numbers)
        std::printf(" %d", number);
    std::printf("\n");
}

// Says what the program gets for an allocation.
int ask(size_t bytes)
{
    unsigned long long address = 77;
    const int code = cuMemAlloc_v2(&address, bytes);
    std::printf("asked %zu MiB: %d%s\n", bytes / MiB, code,
                code == 0 || address == 77 ? "" : ", output touched");
    if (code == 0)
        MUST(cuMemFree_v2(address) == 0);
    std::fflush(stdout);
    return code;
}

// ---- one hook that does what it should

void release()
{
    Cache cache(GiB);
    std::printf("add %d\n", vramguard_add_trim_hook("cache", 0, clear_cache, &cache));
    ask(GiB + GiB / 2);
    std::printf("the cache is %s\n", cache.address ? "still there" : "gone");
    std::printf("remove %d\n", vramguard_remove_trim_hook(clear_cache, &cache));
}

// ---- order and arguments

uint64_t say(int device, uint64_t wanted, uint64_t freed, void *argument)
{
    CUcontext current = nullptr;
    MUST(cuCtxGetCurrent(&current) == 0);
    std::printf("%s: device %d wanted %llu MiB freed %llu MiB %s\n",
                static_cast<const char *>(argument), device,
                static_cast<unsigned long long>(wanted / MiB),
                static_cast<unsigned long long>(freed / MiB),
                current == context ? "in the context" : "WITHOUT the context");
    return 0;
}

char first[] = "first", second[] = "second", third[] = "third", fourth[] = "fourth",
     last[] = "last";

void order()
{
    Cache cache(GiB);
    MUST(vramguard_add_trim_hook("third", 0, say, third) == 0);
    MUST(vramguard_add_trim_hook("first", 7, say, first) == 0);
    MUST(vramguard_add_trim_hook("cache", 3, clear_cache, &cache) == 0);
    MUST(vramguard_add_trim_hook("fourth", 0, say, fourth) == 0);
    MUST(vramguard_add_trim_hook("second", 5, say, second) == 0);
    MUST(vramguard_add_trim_hook("last", -5, say, last) == 0);
    ask(most);
    // Nobody is asked for more than is needed.
    Cache again(GiB);
    cache = again;
    MUST(vramguard_remove_trim_hook(say, first) == 0);
    ask(GiB + GiB / 2);
}

// ---- what the functions say

void codes()
{
    print("wrong:", { vramguard_add_trim_hook(nullptr, 0, say, first),
                      vramguard_add_trim_hook("", 0, say, first),
                      vramguard_add_trim_hook("a", 0, nullptr, first),
                      vramguard_remove_trim_hook(say, first) });
    print("add:", { vramguard_add_trim_hook("a", 0, say, first),
                    vramguard_add_trim_hook("b", 1, say, first),
                    vramguard_add_trim_hook("a", 0, say, second) });
    int added = 2;
    static char arguments[100];
    while (added < 100 && vramguard_add_trim_hook("many", 0, say, &arguments[added]) == 0)
        added++;
    std::printf("there is room for %d\n", added);
    print("more:", { vramguard_add_trim_hook("more", 0, say, &arguments[99]),
                     vramguard_remove_trim_hook(say, first),
                     vramguard_add_trim_hook("more", 0, say, &arguments[99]) });
    const char *const version = vramguard_version();
    std::printf("version %s\n", version ? version : "none");
}

// ---- hooks that misbehave

std::atomic<int> calls, destroyed;

struct Guarded {
    std::string text{ "a string that is too long for the small buffer of the class" };
    ~Guarded()
    {
        destroyed++;
    }
};

std::atomic<int> exceptions;

struct Thrown : std::runtime_error {
    Thrown() : std::runtime_error("a text that is long enough to need memory of its own")
    {
        exceptions++;
    }
    Thrown(const Thrown &other) : std::runtime_error(other)
    {
        exceptions++;
    }
    ~Thrown() override
    {
        exceptions--;
    }
};

uint64_t throw_it(int, uint64_t, uint64_t, void *argument)
{
    Guarded guarded;
    calls++;
    if (argument)
        throw Thrown();
    throw 42;
}

void throwing()
{
    Cache cache(GiB);
    int something;
    MUST(vramguard_add_trim_hook("thrower", 2, throw_it, &something) == 0);
    MUST(vramguard_add_trim_hook("thrower too", 1, throw_it, nullptr) == 0);
    MUST(vramguard_add_trim_hook("cache", 0, clear_cache, &cache) == 0);
    ask(GiB + GiB / 2);
    std::printf("calls %d destroyed %d exceptions %d\n", calls.load(), destroyed.load(),
                exceptions.load());
    try { // the program's own exceptions work as before
        throw std::runtime_error("own");
    } catch (const std::exception &e) {
        std::printf("caught %s\n", e.what());
    }
    ask(most);
    std::printf("calls %d destroyed %d exceptions %d\n", calls.load(), destroyed.load(),
                exceptions.load());
}

uint64_t end_thread(int, uint64_t, uint64_t, void *)
{
    Guarded guarded;
    calls++;
    pthread_exit(nullptr);
}

void exiting()
{
    Cache cache(GiB);
    MUST(vramguard_add_trim_hook("exits", 1, end_thread, nullptr) == 0);
    MUST(vramguard_add_trim_hook("cache", 0, clear_cache, &cache) == 0);
    ask(GiB + GiB / 2);
    ask(most);
    std::printf("calls %d destroyed %d\n", calls.load(), destroyed.load());
}

std::atomic<bool> let_go;

uint64_t hang(int, uint64_t, uint64_t, void *)
{
    calls++;
    while (!let_go)
        usleep(1000);
    usleep(50000);
    return 0;
}

void hanging()
{
    Cache cache(GiB);
    MUST(vramguard_add_trim_hook("hangs", 1, hang, nullptr) == 0);
    MUST(vramguard_add_trim_hook("cache", 0, clear_cache, &cache) == 0);
    ask(GiB + GiB / 2);
    ask(GiB + GiB / 2); // nobody is called while it hangs
    std::printf("calls %d, the cache is %s\n", calls.load(),
                cache.address ? "still there" : "gone");
    print("remove, again, add:",
          { vramguard_remove_trim_hook(hang, nullptr), vramguard_remove_trim_hook(hang, nullptr),
            vramguard_add_trim_hook("hangs", 1, hang, nullptr) });
    let_go = true;
    usleep(200000);
    print("remove, again:",
          { vramguard_remove_trim_hook(hang, nullptr), vramguard_remove_trim_hook(hang, nullptr) });
    ask(GiB + GiB / 2);
    std::printf("calls %d, the cache is %s\n", calls.load(),
                cache.address ? "still there" : "gone");
}

uint64_t call_back(int, uint64_t, uint64_t, void *argument)
{
    unsigned long long address = 77;
    calls++;
    std::printf("in the hook: %d", cuMemAlloc_v2(&address, 8 * GiB));
    std::printf(" %s", address == 77 ? "untouched" : "TOUCHED");
    std::printf(" report %d", vramguard_write_report(1) == 0 ? 0 : 1);
    MUST(cuMemAlloc_v2(&address, 16 * MiB) == 0); // kept: it has to be in the books
    std::printf(" small 0\n");
    return static_cast<Cache *>(argument)->clear();
}

void calling_back()
{
    Cache cache(GiB);
    MUST(vramguard_add_trim_hook("calls back", 0, call_back, &cache) == 0);
    ask(GiB + GiB / 2);
    std::printf("calls %d\n", calls.load());
    vramguard_write_report(1);
}

uint64_t fork_off(int, uint64_t, uint64_t, void *argument)
{
    const pid_t pid = fork();
    if (pid == 0 && !argument)
        _exit(9);
    if (pid == 0)
        return 0; // comes back in the child, where there is nothing to come back to
    int status = -1;
    if (waitpid(pid, &status, 0) != pid)
        return 0;
    calls += WIFEXITED(status) ? 1 + 100 * WEXITSTATUS(status) : 10000;
    return 0;
}

void forking()
{
    Cache cache(GiB);
    int something;
    std::printf("buffered "); // a child that flushed it would print it once more
    MUST(vramguard_add_trim_hook("forks", 2, fork_off, nullptr) == 0);
    MUST(vramguard_add_trim_hook("comes back", 1, fork_off, &something) == 0);
    MUST(vramguard_add_trim_hook("cache", 0, clear_cache, &cache) == 0);
    std::atexit([] { std::printf("exit handler\n"); });
    ask(GiB + GiB / 2);
    std::printf("calls %d\n", calls.load());
}

uint64_t remove_itself(int, uint64_t, uint64_t, void *)
{
    calls++;
    std::printf("in the hook: remove %d\n", vramguard_remove_trim_hook(remove_itself, nullptr));
    return 0;
}

void removing_itself()
{
    Cache cache(GiB);
    MUST(vramguard_add_trim_hook("once", 1, remove_itself, nullptr) == 0);
    MUST(vramguard_add_trim_hook("cache", 0, clear_cache, &cache) == 0);
    ask(GiB + GiB / 2);
    ask(most);
    std::printf("calls %d\n", calls.load());
}

uint64_t take_time(int, uint64_t, uint64_t, void *argument)
{
    calls++;
    usleep(1300000);
    return static_cast<Cache *>(argument)->clear();
}

void slow()
{
    Cache cache(GiB);
    MUST(vramguard_add_trim_hook("slow", 0, take_time, &cache) == 0);
    std::thread remover([&] {
        while (calls == 0)
            usleep(1000);
        const int code = vramguard_remove_trim_hook(take_time, &cache);
        std::printf("remove %d, and the call is over: the cache is %s\n", code,
                    cache.address ? "still there" : "gone");
    });
    ask(GiB + GiB / 2);
    remover.join();
}

uint64_t boast(int, uint64_t, uint64_t, void *)
{
    return 3 * GiB;
}

void boasting()
{
    MUST(vramguard_add_trim_hook("boasts", 0, boast, nullptr) == 0);
    ask(most);
}

// ---- many threads

std::mutex cache_lock;
std::vector<Cache> caches;

uint64_t drop_one(int, uint64_t, uint64_t, void *)
{
    const std::lock_guard<std::mutex> hold(cache_lock);
    if (caches.empty())
        return 0;
    Cache cache = caches.back();
    caches.pop_back();
    return cache.clear();
}

uint64_t nothing(int, uint64_t, uint64_t, void *)
{
    calls++;
    return 0;
}

void threads()
{
    const int count = 6;
    std::vector<std::thread> workers;
    std::atomic<int> got{ 0 };
    std::atomic<bool> over{ false };
    for (int i = 0; i < 30; i++)
        caches.push_back(Cache(60 * MiB));
    MUST(vramguard_add_trim_hook("drop one", 0, drop_one, nullptr) == 0);
    std::vector<std::thread> changers;
    static char arguments[4];
    for (char &argument : arguments)
        changers.emplace_back([&argument, &over] {
            while (!over) {
                MUST(vramguard_add_trim_hook("comes and goes", 1, nothing, &argument) == 0);
                MUST(vramguard_remove_trim_hook(nothing, &argument) == 0);
            }
        });
    for (int i = 0; i < count; i++)
        workers.emplace_back([&got] {
            cuCtxSetCurrent(context);
            unsigned long long address;
            for (int k = 0; k < 4; k++) {
                // What came free for one thread may be taken by another.
                int tries = 0;
                while (cuMemAlloc_v2(&address, 60 * MiB) != 0 && tries < 20)
                    tries++;
                got += tries < 20;
            }
        });
    for (std::thread &worker : workers)
        worker.join();
    over = true;
    for (std::thread &changer : changers)
        changer.join();
    std::printf("got %d of %d\n", got.load(), 4 * count);
}

// ---- children

void child()
{
    vramguard_add_trim_hook("said before the fork", 0, say, first);
    const pid_t pid = fork();
    if (pid == 0) {
        use_gpu();
        ask(most);
        _exit(0);
    }
    int status = -1;
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    use_gpu();
    ask(most);
}

// ---- signals and children of the program

volatile sig_atomic_t child_signals;

void count_signal(int)
{
    child_signals = child_signals + 1;
}

void command()
{
    struct sigaction action;
    std::memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    MUST(sigaction(SIGCHLD, &action, nullptr) == 0);
    std::atomic<bool> over{ false };
    std::atomic<int> reaped{ 0 }, failed{ 0 };
    std::thread reaper([&] {
        while (!over) {
            if (waitpid(-1, nullptr, WNOHANG) > 0)
                reaped++;
            usleep(200);
        }
    });
    for (int i = 0; i < 3; i++)
        failed += ask(most) != 0;
    over = true;
    reaper.join();
    std::printf("signals %d reaped %d left %d\n", static_cast<int>(child_signals), reaped.load(),
                waitpid(-1, nullptr, WNOHANG | __WALL) == -1 && errno == ECHILD ? 0 : 1);
}

void ask_only()
{
    ask(most);
}

const struct {
    const char *name;
    void (*run)();
    bool needs_gpu;
} modes[] = {
    { "release", release, true },
    { "order", order, true },
    { "codes", codes, false },
    { "throwing", throwing, true },
    { "exiting", exiting, true },
    { "hanging", hanging, true },
    { "calling-back", calling_back, true },
    { "forking", forking, true },
    { "removing-itself", removing_itself, true },
    { "slow", slow, true },
    { "boasting", boasting, true },
    { "threads", threads, true },
    { "child", child, false },
    { "command", command, true },
    { "ask", ask_only, true },
};

} // namespace

int main(int count, char **arguments)
{
    for (const auto &mode : modes) {
        if (count != 2 || std::strcmp(arguments[1], mode.name) != 0)
            continue;
        if (mode.needs_gpu)
            use_gpu();
        mode.run();
        return 0;
    }
    return 64;
}
