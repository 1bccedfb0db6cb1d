/* Calls WHAT(image, answer) for as many images as its argument says, so that instructions can be counted from outside. */
#include <stdint.h>
#include <stdlib.h>

#define IMAGES 100

extern const uint8_t images[IMAGES][784];

int WHAT(const uint8_t image[784], uint8_t answer[]);

/* Two instructions a turn: whoever counts is checked by it. */
int loop(const uint8_t image[784], uint8_t answer[]);

int loop(const uint8_t image[784], uint8_t answer[])
{
    uint32_t left = 100000U;
    (void)image;
    (void)answer;
    __asm__ volatile("1: subs %w0, %w0, #1\n b.ne 1b" : "+r"(left) : : "cc");
    return 0;
}

int main(int count, char **arguments)
{
    static uint8_t answer[256];
    const int images_left = count > 1 ? atoi(arguments[1]) : 0;
    for (int i = 0; i < images_left; ++i) {
        (void)WHAT(images[i % IMAGES], answer);
    }
    return 0;
}
