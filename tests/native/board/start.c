/* A bare Cortex-M program for QEMU: reads images.bin, answers each image, writes answers.bin, and to stack.bin how many
 * bytes of stack an answer took at most: what lies below is painted before each one.
 *
 * Files are reached by ARM semihosting (https://github.com/ARM-software/abi-aa, semihosting.rst): operation in r0,
 * arguments in r1, `bkpt 0xAB`.
 */
#include <stdint.h>

#ifndef INPUTS
#define INPUTS 784
#endif

int edgemnist_classify(const uint8_t image[INPUTS], uint8_t probabilities[]);
extern const int edgemnist_class_count;

#define SYS_OPEN 0x01
#define SYS_WRITE 0x05
#define SYS_READ 0x06
#define SYS_EXIT 0x18
#define READ_BINARY 1
#define WRITE_BINARY 5
#define APPLICATION_EXIT 0x20026

extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end;

static intptr_t host(intptr_t operation, const void *arguments)
{
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static intptr_t open_file(const char *name, uintptr_t length, uintptr_t mode)
{
    const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};
    return host(SYS_OPEN, arguments);
}

static void leave(void)
{
    (void)host(SYS_EXIT, (const void *)APPLICATION_EXIT);
    for (;;) {
    }
}

#define PAINT 0x5AA5C33CU

static uint32_t most_stack;

/* Answers an image, and looks how deep the stack was written to. */
static __attribute__((noinline)) void classify_measured(const uint8_t *image, uint8_t *answer)
{
    uint32_t *top, *lowest = &bss_end;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (uint32_t *place = &bss_end; place < top; ++place) {
        *(volatile uint32_t *)place = PAINT;
    }
    (void)edgemnist_classify(image, answer);
    while (lowest < top && *lowest == PAINT) {
        ++lowest;
    }
    const uint32_t used = (uint32_t)((uintptr_t)top - (uintptr_t)lowest);
    most_stack = used > most_stack ? used : most_stack;
}

void reset(void);

void reset(void)
{
    static uint8_t image[INPUTS], answer[1024];
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xF00000U; /* CPACR: floating point, and vectors with it */
#endif
    for (uint32_t *to = &data_start, *from = &data_load; to < &data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &bss_start; to < &bss_end;) {
        *to++ = 0;
    }
    const intptr_t images = open_file("images.bin", 10, READ_BINARY);
    const intptr_t answers = open_file("answers.bin", 11, WRITE_BINARY);
    for (;;) {
        const uintptr_t take[3] = {(uintptr_t)images, (uintptr_t)image, INPUTS};
        /* What could not be read is returned. */
        if (host(SYS_READ, take) != 0) {
            const intptr_t stack = open_file("stack.bin", 9, WRITE_BINARY);
            const uintptr_t depth[3] = {(uintptr_t)stack, (uintptr_t)&most_stack, sizeof most_stack};
            (void)host(SYS_WRITE, depth);
            leave();
        }
        classify_measured(image, answer);
        const uintptr_t give[3] = {(uintptr_t)answers, (uintptr_t)answer, (uintptr_t)edgemnist_class_count};
        if (host(SYS_WRITE, give) != 0) {
            leave();
        }
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {&stack_top, (const void *)reset};
