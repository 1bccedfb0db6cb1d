/* Which kernels there are, and which of them this processor can run. */
#include "engine.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(_WIN32)
#include <windows.h>
#elif (defined(__aarch64__) || defined(__arm__)) && defined(__linux__)
/* What the kernel says of the processor, see <sys/auxv.h>: declared here, as not every compiler has that at hand. */
extern unsigned long getauxval(unsigned long type);
#define AT_HWCAP 16UL
#endif

extern const edgemnist_kernel edgemnist_scalar;

typedef struct {
    const edgemnist_kernel *kernel;
    int available;
} candidate;

#if defined(__x86_64__)
extern const edgemnist_kernel edgemnist_avx512vnni, edgemnist_avxvnni, edgemnist_avx2;

/* Bits of CPUID, and of XCR0, which says what registers the operating system saves: Intel SDM volume 2A, CPUID, and
 * volume 1, 13.3. */
#define OSXSAVE (1U << 27)       /* leaf 1, ECX */
#define FMA (1U << 12)           /* leaf 1, ECX */
#define AVX2 (1U << 5)           /* leaf 7, EBX */
#define AVX512 (1U << 16 | 1U << 17 | 1U << 30 | 1U << 31) /* F, DQ, BW and VL; leaf 7, EBX */
#define AVX512_VNNI (1U << 11)   /* leaf 7, ECX */
#define AVX_VNNI (1U << 4)       /* leaf 7, subleaf 1, EAX */
#define SAVES_YMM 0x06U
#define SAVES_ZMM 0xE6U

static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static size_t candidates(candidate *found)
{
    unsigned a, b, c = 0, d, a1 = 0, b1, c1, d1, b7 = 0, c7 = 0, saved = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & OSXSAVE) != 0U) {
        saved = saved_registers();
    }
    if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d) && a >= 1U) {
        (void)__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
    }
    const int ymm = (saved & SAVES_YMM) == SAVES_YMM && (b7 & AVX2) != 0U && (c & FMA) != 0U;
    const int zmm = (saved & SAVES_ZMM) == SAVES_ZMM && (b7 & AVX512) == AVX512;
    found[0] = (candidate){&edgemnist_avx512vnni, zmm && (c7 & AVX512_VNNI) != 0U};
    found[1] = (candidate){&edgemnist_avxvnni, ymm && (a1 & AVX_VNNI) != 0U};
    found[2] = (candidate){&edgemnist_avx2, ymm};
    found[3] = (candidate){&edgemnist_scalar, 1};
    return 4;
}
#elif defined(__aarch64__)
extern const edgemnist_kernel edgemnist_neon, edgemnist_neondot;

static int has_dot_product(void)
{
#if defined(__ARM_FEATURE_DOTPROD) || defined(__APPLE__)
    return 1; /* every Mac with an ARM processor has it */
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1UL << 20)) != 0; /* HWCAP_ASIMDDP, arch/arm64/include/uapi/asm/hwcap.h */
#elif defined(_WIN32)
    return IsProcessorFeaturePresent(43) != 0; /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE */
#else
    return 0;
#endif
}

static size_t candidates(candidate *found)
{
    found[0] = (candidate){&edgemnist_neondot, has_dot_product()};
    found[1] = (candidate){&edgemnist_neon, 1};
    found[2] = (candidate){&edgemnist_scalar, 1};
    return 3;
}
#elif defined(__arm__) && defined(__linux__) && __ARM_ARCH >= 7 && __ARM_ARCH_PROFILE == 'A'
extern const edgemnist_kernel edgemnist_neon;

static size_t candidates(candidate *found)
{
    /* HWCAP_NEON, arch/arm/include/uapi/asm/hwcap.h: some ARMv7 processors do without. */
    found[0] = (candidate){&edgemnist_neon, (getauxval(AT_HWCAP) & (1UL << 12)) != 0};
    found[1] = (candidate){&edgemnist_scalar, 1};
    return 2;
}
#elif defined(__wasm_simd128__)
extern const edgemnist_kernel edgemnist_wasm;

static size_t candidates(candidate *found)
{
    found[0] = (candidate){&edgemnist_wasm, 1};
    found[1] = (candidate){&edgemnist_scalar, 1};
    return 2;
}
#else
static size_t candidates(candidate *found)
{
    found[0] = (candidate){&edgemnist_scalar, 1};
    return 1;
}
#endif

const edgemnist_kernel *edgemnist_kernel_at(size_t index)
{
    candidate found[4];
    const size_t count = candidates(found);
    for (size_t i = 0; i < count; ++i) {
        if (found[i].available && index-- == 0U) {
            return found[i].kernel;
        }
    }
    return NULL;
}
