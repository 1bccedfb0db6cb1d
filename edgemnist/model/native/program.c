/* The program: answers one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#include "raw.h"

#ifdef EDGEMNIST_CLASSES
/* Prints a text as JSON has it. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text != '\0'; ++text) {
        if ((unsigned char)*text < 0x20U) {
            printf("\\u%04x", (unsigned)(unsigned char)*text);
        } else {
            printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
        }
    }
    putchar('"');
}
#endif

int main(int argc, char **argv)
{
    const int help = argc == 2 && strcmp(argv[1], "--help") == 0;
    const int json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (help || argc > 2 + json) {
        fputs(USAGE, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    const int standard = argc == 1 + json || strcmp(argv[1 + json], "-") == 0;
    const char *const name = standard ? "standard input" : argv[1 + json];
    FILE *const file = standard ? stdin : fopen(name, "rb");
    static uint8_t input[EDGEMNIST_INPUTS], outputs[EDGEMNIST_OUTPUTS];
    if (file == NULL) {
        fprintf(stderr, "%s cannot be opened.\n", name);
        return 2;
    }
    size_t size;
    uint8_t *const data = read_whole(file, &size);
    const char *const fault = data == NULL ? "does not fit into the memory" : prepare(data, size, input);
    free(data);
    if (fault != NULL) {
        fprintf(stderr, "%s %s.\n", name, fault);
        return 2;
    }
    const int best = edgemnist_classify(input, outputs);
    /* What has no softmax at its end answers with numbers in steps of its scale. */
    const edgemnist_layer *const last = &edgemnist_layers[sizeof edgemnist_layers / sizeof *edgemnist_layers - 1U];
    const int shares = last->exponentials != NULL && last->softmax_map == NULL;
#ifdef EDGEMNIST_CLASSES
    if (json) {
        printf("{\"class\": %d, \"label\": ", best);
        print_quoted(edgemnist_labels[best]);
        printf(", \"scores\": [");
    } else {
        printf("%s\n", edgemnist_labels[best]);
    }
#else
    (void)best;
    printf(json ? "{\"scores\": [" : "");
#endif
    for (int i = 0; i < EDGEMNIST_OUTPUTS; ++i) {
        if (json) {
            printf("%s%d", i == 0 ? "" : ", ", outputs[i]);
            continue;
        }
#ifdef EDGEMNIST_CLASSES
        printf("  %s: ", edgemnist_labels[i]);
#endif
        if (shares) {
            printf("%d/256\n", outputs[i]);
        } else {
            const float steps = (float)(outputs[i] - edgemnist_score_zero_point);
            printf("%.4g\n", (double)(edgemnist_score_scale * steps));
        }
    }
    if (json) {
        printf("], \"scale\": %.9g, \"zero_point\": %d}\n", (double)edgemnist_score_scale, edgemnist_score_zero_point);
    }
    return 0;
}
