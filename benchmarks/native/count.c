/* Counts instructions of WHAT(image, answer) on an emulated Cortex-M: QEMU's -icount shift=0 makes an instruction take
 * a nanosecond of virtual time, which SysTick counts. A loop of known length first tells how many make a tick. */
#include <stdint.h>

int WHAT(const uint8_t image[784], uint8_t answer[]);

#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define LOOP 100000U /* two instructions each */
#define IMAGES 100U

extern const uint8_t images[IMAGES][784];
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

void reset(void);

void reset(void)
{
    static uint8_t answer[256];
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
    host(0x18, (const void *)0x20026); /* SYS_EXIT, ADP_Stopped_ApplicationExit */
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {&stack_top, (const void *)reset};
