/* descriptors FOLDER: allocates through code without unwind information, closes every descriptor
 * from 3 on as a daemon does, opens files of its own and a pipe, and goes on allocating, in new
 * threads too. Says which of its descriptors are no longer as it left them. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "cuda_calls.h"
#include "jit.h"

enum { FILES = 24, THREADS = 10 };

static jit_function *through;

static void allocate(void)
{
    take(4096);
}

static void *work(void *unused)
{
    use_gpu();
    through(allocate);
    return unused;
}

static int is_untouched(int fd)
{
    char text[64];
    return lseek(fd, 0, SEEK_CUR) == 0 && pread(fd, text, sizeof text, 0) == 10 &&
           memcmp(text, "0123456789", 10) == 0;
}

int main(int argc, char **argv)
{
    int files[FILES], ends[2];
    char byte;
    MUST(argc == 2);
    through = make_jit_function();
    MUST(through);
    use_gpu();
    through(allocate);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    MUST(pipe(ends) == 0);
    for (int i = 0; i < FILES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/own%02d", argv[1], i);
        files[i] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        MUST(files[i] >= 0 && write(files[i], "0123456789", 10) == 10);
        MUST(lseek(files[i], 0, SEEK_SET) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, work, NULL) == 0);
        MUST(pthread_join(thread, NULL) == 0);
    }
    through(allocate);
    for (int i = 0; i < FILES; i++)
        if (!is_untouched(files[i]))
            printf("descriptor %d changed\n", files[i]);
    MUST(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    if (read(ends[0], &byte, 1) >= 0 || errno != EAGAIN)
        printf("something is in the pipe\n");
    printf("done\n");
    return 0;
}
