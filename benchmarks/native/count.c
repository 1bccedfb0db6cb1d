/* Counts instructions of WHAT(image, answer) on an emulated Cortex-M: QEMU's -icount shift=0 makes an instruction take
 * a nanosecond of virtual time, which SysTick counts. A loop of known length first tells how many make a tick. */
#include <stdint.h>

#ifndef INPUTS
#define INPUTS 784U
#define IMAGES 100U
#endif

int WHAT(const uint8_t image[INPUTS], uint8_t answer[]);

#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define LOOP 100000U /* two instructions each */

extern const uint8_t images[IMAGES][INPUTS];
extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end;

static void host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(uint32_t value)
{
    static char text[12];
    text[10] = '\n';
    for (int i = 9; i >= 0; --i, value /= 10U) {
        text[i] = (char)('0' + value % 10U);
    }
    host(0x04, text); /* SYS_WRITE0 */
}

#ifdef KINDS
/* What the rows of each kind of layer take; 15 are convolutions of single places. */
static uint32_t kinds[16], begun;
void count_begin(void);
void count_end(int kind, int places);

void count_begin(void)
{
    begun = SYSTICK[2];
}

void count_end(int kind, int places)
{
    kinds[kind == 0 && places == 1 ? 15 : kind] += (begun - SYSTICK[2]) & 0xFFFFFFU;
}
#endif

void reset(void);

void reset(void)
{
    static uint8_t answer[1024];
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xF00000U; /* CPACR: floating point, and vectors with it */
#endif
    for (uint32_t *to = &data_start, *from = &data_load; to < &data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &bss_start; to < &bss_end;) {
        *to++ = 0;
    }
    SYSTICK[1] = 0xFFFFFF;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    uint32_t start = SYSTICK[2];
    uint32_t left = LOOP;
    __asm__ volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+l"(left) : : "cc");
    print((start - SYSTICK[2]) & 0xFFFFFFU);
    uint32_t total = 0;
    for (uint32_t i = 0; i < IMAGES; ++i) {
        start = SYSTICK[2];
        (void)WHAT(images[i], answer);
        total += (start - SYSTICK[2]) & 0xFFFFFFU;
    }
    print(total);
#ifdef KINDS
    for (int i = 0; i < 16; ++i) {
        print(kinds[i]);
    }
#endif
    host(0x18, (const void *)0x20026); /* SYS_EXIT, ADP_Stopped_ApplicationExit */
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {&stack_top, (const void *)reset};
