/* Arrays and mipmapped arrays, and copies to and from them. */
#include <string.h>

#include "check.h"
#include "cuda.h"

#define FORMAT_FLOAT 0x20
#define FORMAT_UINT8 0x01
#define FLAG_LAYERED 1

static void check_plain(void)
{
    enum { WIDTH = 64, HEIGHT = 32 };
    static float in[HEIGHT][WIDTH], out[HEIGHT][WIDTH];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            in[y][x] = (float)(y * WIDTH + x);
    CUDA_ARRAY_DESCRIPTOR descriptor = { WIDTH, HEIGHT, FORMAT_FLOAT, 1 };
    CUDA_ARRAY3D_DESCRIPTOR described;
    CUarray array = NULL;
    CHECK("create", cuda.array_create(&array, &descriptor), CUDA_SUCCESS);
    CHECK("describe", cuda.array_descriptor(&described, array), CUDA_SUCCESS);
    CHECK("  width", described.Width, WIDTH);
    CHECK("  height", described.Height, HEIGHT);
    CHECK("  depth", described.Depth, 0);
    CHECK("  format", described.Format, FORMAT_FLOAT);
    CUDA_MEMCPY2D to = { .srcMemoryType = CU_MEMORYTYPE_HOST,
                         .srcHost = in,
                         .srcPitch = sizeof(in[0]),
                         .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                         .dstArray = array,
                         .WidthInBytes = sizeof(in[0]),
                         .Height = HEIGHT };
    CHECK("copy in", cuda.copy_2d(&to), CUDA_SUCCESS);
    CUDA_MEMCPY2D from = { .srcMemoryType = CU_MEMORYTYPE_ARRAY,
                           .srcArray = array,
                           .srcXInBytes = 16 * sizeof(float),
                           .srcY = 8,
                           .dstMemoryType = CU_MEMORYTYPE_HOST,
                           .dstHost = out,
                           .dstPitch = sizeof(out[0]),
                           .WidthInBytes = 8 * sizeof(float),
                           .Height = 4 };
    CHECK("copy a part out", cuda.copy_2d(&from), CUDA_SUCCESS);
    CHECK("  the first", (int)out[0][0], (int)in[8][16]);
    CHECK("  the last", (int)out[3][7], (int)in[11][23]);
    from.srcY = HEIGHT - 2;
    CHECK("beyond the end", cuda.copy_2d(&from), CUDA_ERROR_INVALID_VALUE);
    CHECK("destroy", cuda.array_destroy(array), CUDA_SUCCESS);
    descriptor.NumChannels = 3;
    CHECK("three channels", cuda.array_create(&array, &descriptor), CUDA_ERROR_INVALID_VALUE);
    descriptor = (CUDA_ARRAY_DESCRIPTOR){ 0, 0, FORMAT_FLOAT, 1 };
    CHECK("no width", cuda.array_create(&array, &descriptor), CUDA_ERROR_INVALID_VALUE);
}

static void check_line(void)
{
    CUDA_ARRAY_DESCRIPTOR descriptor = { 1000, 0, FORMAT_UINT8, 1 };
    CUarray array;
    char in[1000], out[1000] = "";
    memset(in, 'a', sizeof(in));
    CHECK("one dimension", cuda.array_create(&array, &descriptor), CUDA_SUCCESS);
    CHECK("copy in", cuda.copy_htoa(array, 0, in, 1000), CUDA_SUCCESS);
    CHECK("copy out", cuda.copy_atoh(out, array, 100, 900), CUDA_SUCCESS);
    CHECK("  the data comes back", memcmp(in, out, 900), 0);
    cuda.array_destroy(array);
}

static void check_box(void)
{
    enum { W = 16, H = 8, D = 4 };
    static unsigned char in[D][H][W], out[D][H][W];
    for (int i = 0; i < W * H * D; i++)
        (&in[0][0][0])[i] = (unsigned char)(i * 3);
    CUDA_ARRAY3D_DESCRIPTOR descriptor = { W, H, D, FORMAT_UINT8, 1, 0 };
    CUarray array;
    CHECK("three dimensions", cuda.array_create_3d(&array, &descriptor), CUDA_SUCCESS);
    CUDA_MEMCPY3D copy = { .srcMemoryType = CU_MEMORYTYPE_HOST,
                           .srcHost = in,
                           .srcPitch = W,
                           .srcHeight = H,
                           .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                           .dstArray = array,
                           .WidthInBytes = W,
                           .Height = H,
                           .Depth = D };
    CHECK("copy in", cuda.copy_3d(&copy), CUDA_SUCCESS);
    CUDA_MEMCPY3D back = { .srcMemoryType = CU_MEMORYTYPE_ARRAY,
                           .srcArray = array,
                           .srcZ = 1,
                           .srcY = 2,
                           .srcXInBytes = 4,
                           .dstMemoryType = CU_MEMORYTYPE_HOST,
                           .dstHost = out,
                           .dstPitch = W,
                           .dstHeight = H,
                           .WidthInBytes = 8,
                           .Height = 4,
                           .Depth = 2 };
    CHECK("copy a part out", cuda.copy_3d(&back), CUDA_SUCCESS);
    int wrong = 0;
    for (int z = 0; z < 2; z++)
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 8; x++)
                wrong += out[z][y][x] != in[z + 1][y + 2][x + 4];
    CHECK("  the data comes back", wrong, 0);
    back.srcY = H - 2;
    CHECK("beyond the end of a slice", cuda.copy_3d(&back), CUDA_ERROR_INVALID_VALUE);
    back.srcY = 0;
    back.srcXInBytes = W - 4;
    CHECK("beyond the end of a row", cuda.copy_3d(&back), CUDA_ERROR_INVALID_VALUE);
    cuda.array_destroy(array);
}

static void check_mipmap(void)
{
    CUDA_ARRAY3D_DESCRIPTOR descriptor = { 256, 128, 0, FORMAT_FLOAT, 4, 0 }, level;
    CUmipmappedArray mipmap;
    CUarray array;
    CHECK("mipmapped", cuda.mipmap_create(&mipmap, &descriptor, 4), CUDA_SUCCESS);
    CHECK("level 2", cuda.mipmap_level(&array, mipmap, 2), CUDA_SUCCESS);
    cuda.array_descriptor(&level, array);
    CHECK("  is a quarter as wide", level.Width, 64);
    CHECK("  and as high", level.Height, 32);
    CHECK("no such level", cuda.mipmap_level(&array, mipmap, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK("destroy", cuda.mipmap_destroy(mipmap), CUDA_SUCCESS);
}

static void check_memory(void)
{
    CUDA_ARRAY3D_DESCRIPTOR descriptor = { 4096, 4096, 4, FORMAT_UINT8, 1, FLAG_LAYERED };
    CUarray array;
    size_t before = cuda_free_bytes();
    CHECK("64 MiB of layers", cuda.array_create_3d(&array, &descriptor), CUDA_SUCCESS);
    check_between("  take memory", (long long)(before - cuda_free_bytes()), 64 << 20, 72 << 20);
    cuda.array_destroy(array);
    check_between("  and give it back", (long long)(before - cuda_free_bytes()), 0, 4 << 20);
}

int main(void)
{
    check_start();
    cuda_start();
    check_plain();
    check_line();
    check_box();
    check_mipmap();
    check_memory();
    return check_finish();
}
