/* The outer functions of a generated C file, after the network's tables. */

int edgemnist_classify(const uint8_t image[784], uint8_t probabilities[EDGEMNIST_CLASSES])
{
    /* Not on the stack, which is small on a microcontroller: the linker counts this, and a call is not reentrant. */
    static uint32_t scratch[(EDGEMNIST_SCRATCH_BYTES + 3U) / 4U];
    int best = 0;
    edgemnist_scalar_forward(&edgemnist_network, image, probabilities, (uint8_t *)scratch);
    for (int i = 1; i < EDGEMNIST_CLASSES; ++i) {
        if (probabilities[i] > probabilities[best]) {
            best = i;
        }
    }
    return best;
}

#ifdef EDGEMNIST_MAIN
#include <stdio.h>
#include <string.h>

/* Reads one number of a PGM header, after white space and comments; -1 if there is none. */
static int header_number(FILE *file)
{
    int byte = getc(file), value = -1;
    while (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '#') {
        if (byte == '#') {
            while (byte != '\n' && byte != EOF) {
                byte = getc(file);
            }
        }
        byte = getc(file);
    }
    for (int digits = 0; byte >= '0' && byte <= '9' && digits < 6; ++digits) {
        value = (value < 0 ? 0 : value) * 10 + byte - '0';
        byte = getc(file);
    }
    return value;
}

/* Reads a binary PGM (P5) of 28 x 28 pixels, white on black; returns 0, or 1 where it is none. */
static int read_pgm(FILE *file, uint8_t image[784])
{
    if (getc(file) != 'P' || getc(file) != '5') {
        return 1;
    }
    const int width = header_number(file), height = header_number(file), highest = header_number(file);
    return width != 28 || height != 28 || highest != 255 || fread(image, 1, 784, file) != 784;
}

int main(int argc, char **argv)
{
    const int json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *const name = argc > 1 + json ? argv[1 + json] : "-";
    FILE *const file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    uint8_t image[784], probabilities[EDGEMNIST_CLASSES];
    if (file == NULL) {
        fprintf(stderr, "%s cannot be opened\n", name);
        return 2;
    }
    if (read_pgm(file, image) != 0) {
        fprintf(stderr, "%s is no binary PGM of 28 x 28 pixels, white on black\n", name);
        return 2;
    }
    const int best = edgemnist_classify(image, probabilities);
    if (json) {
        printf("{\"class\": %d, \"label\": \"%s\", \"scores\": [", best, edgemnist_labels[best]);
    } else {
        printf("%s\n", edgemnist_labels[best]);
    }
    for (int i = 0; i < EDGEMNIST_CLASSES; ++i) {
        if (json) {
            printf("%s%d", i == 0 ? "" : ", ", probabilities[i]);
        } else {
            printf("  %s: %d/256\n", edgemnist_labels[i], probabilities[i]);
        }
    }
    printf("%s", json ? "]}\n" : "");
    return 0;
}
#endif /* EDGEMNIST_MAIN */
