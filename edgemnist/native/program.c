/* The program: finds and reads the digit on a picture. */
#include <stdio.h>

/* Reads a file as a whole, of up to 256 MB; returns memory to be freed, or NULL. */
static uint8_t *read_whole(FILE *file, size_t *size)
{
    const size_t most = (size_t)1 << 28;
    uint8_t *data = NULL;
    size_t room = 0, got = 1;
    *size = 0;
    while (got > 0U && *size <= most) {
        if (*size == room) {
            room = room == 0U ? 16384U : 2U * room;
            uint8_t *const more = realloc(data, room);
            if (more == NULL) {
                break;
            }
            data = more;
        }
        got = fread(data + *size, 1, room - *size, file);
        *size += got;
    }
    return data;
}

/* Brings the digit of a picture to `image`; returns what is wrong, or NULL. */
static const char *prepare(FILE *file, uint8_t image[784])
{
    size_t size;
    uint8_t *const data = read_whole(file, &size);
    if (data == NULL) {
        return "does not fit into the memory";
    }
    const picture read = read_picture(data, size);
    free(data);
    if (read.grey == NULL) {
        return read.fault;
    }
    edgemnist_found found;
    void *const scratch = malloc(EDGEMNIST_FIT_BYTES(read.width, read.height));
    const int answer =
        scratch == NULL ? -1 : edgemnist_fit(read.grey, read.width, read.height, image, &found, scratch);
    free(scratch);
    free(read.grey);
    return answer == EDGEMNIST_FITTED   ? NULL
           : answer == EDGEMNIST_BLANK  ? "has nothing on it but its ground"
           : answer == EDGEMNIST_UNEVEN ? "has no plain white or black ground, as a photograph has none. "
                                          "`edgemnist predict` reads such"
                                        : "does not fit into the memory";
}

int main(int argc, char **argv)
{
    const int help = argc == 2 && strcmp(argv[1], "--help") == 0;
    const int json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (help || argc > 2 + json) {
        fputs("Usage: digit [--json] [PICTURE]\n"
              "Reads the digit on a PGM or PNG file, or from standard input.\n",
              help ? stdout : stderr);
        return help ? 0 : 2;
    }
    const int standard = argc == 1 + json || strcmp(argv[1 + json], "-") == 0;
    const char *const name = standard ? "standard input" : argv[1 + json];
    FILE *const file = standard ? stdin : fopen(name, "rb");
    uint8_t image[784], probabilities[EDGEMNIST_CLASSES];
    if (file == NULL) {
        fprintf(stderr, "%s cannot be opened.\n", name);
        return 2;
    }
    const char *const fault = prepare(file, image);
    if (fault != NULL) {
        fprintf(stderr, "%s %s.\n", name, fault);
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
